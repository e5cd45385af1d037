/** Makes a metric of the table, with its initial series. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { MetricSpec } from "./metric-spec.ts";

/** @param model the label that metrics with `model_name` have in all series */
export function createMetric(
  spec: MetricSpec,
  registry: Registry,
  model: { model_name: string },
): Counter | Gauge | Histogram {
  const common = { name: spec.name, help: spec.help, labelNames: [...spec.labels], registers: [registry] };
  const base = spec.labels.includes("model_name") ? model : {};
  const initial = (spec.initial ?? [{}]).map((labels) => ({ ...base, ...labels }));
  if (spec.type === "counter") {
    const metric = new Counter(common);
    for (const labels of initial) metric.inc(labels, 0);
    return metric;
  }
  if (spec.type === "gauge") {
    const metric = new Gauge(common);
    for (const labels of initial) metric.set(labels, 0);
    return metric;
  }
  const metric = new Histogram({ ...common, buckets: [...(spec.buckets ?? [])] });
  for (const labels of initial) metric.zero(labels);
  return metric;
}
