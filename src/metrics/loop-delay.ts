/** The delay of the event loop since the last scrape, as a gauge with three values. */
import type { IntervalHistogram } from "node:perf_hooks";
import type { Gauge } from "prom-client";

export function setLoopDelay(gauge: Gauge, loop: IntervalHistogram): void {
  const resolution = 10e6; // the histogram counts the timer's own period, in nanoseconds
  const delay = (nanoseconds: number) =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds - resolution) / 1e9 : 0;
  gauge.set({ statistic: "p50" }, loop.count === 0 ? 0 : delay(loop.percentile(50)));
  gauge.set({ statistic: "p99" }, loop.count === 0 ? 0 : delay(loop.percentile(99)));
  gauge.set({ statistic: "max" }, loop.count === 0 ? 0 : delay(loop.max));
  loop.reset();
}
