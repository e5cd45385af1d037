/** Every metric, declared once as data. metrics.ts records them. prom-client adds its process metrics. */
import type { FINISH_REASONS } from "./metric-spec.ts";
import { OWN_METRICS } from "./own-table.ts";
import { VLLM_METRICS } from "./vllm-table.ts";

/** The table that docs/reference/metrics.md is made from. */
export const METRICS = [...VLLM_METRICS, ...OWN_METRICS];

export type MetricName = (typeof METRICS)[number]["name"];
export type FinishedReason = (typeof FINISH_REASONS)[number];
