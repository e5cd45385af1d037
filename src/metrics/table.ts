/**
 * Every metric, declared once as data. Nothing is recorded here: see metrics.ts. prom-client's process metrics come on top.
 */
import type { FINISH_REASONS } from "./metric-spec.ts";
import { OWN_METRICS } from "./own-table.ts";
import { VLLM_METRICS } from "./vllm-table.ts";

/** The table that docs/reference/metrics.md is made from. */
export const METRICS = [...VLLM_METRICS, ...OWN_METRICS];

export type MetricName = (typeof METRICS)[number]["name"];
export type FinishedReason = (typeof FINISH_REASONS)[number];
