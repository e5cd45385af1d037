/** The declaration of a metric, and the buckets and labels that several metrics share. */

export interface MetricSpec {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
  /** Label values that exist from the first scrape. Default: one series without further labels. */
  readonly initial?: readonly Readonly<Record<string, string>>[];
}

export const MODEL = ["model_name"];
export const FINISH_REASONS = ["stop", "length", "abort", "error"] as const;
/** Bucket bounds in seconds. */
export const REQUEST_TIME = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

/** An adapter's name as a label, with its owner where the server has several tenants. */
export interface AdapterLabel {
  readonly name: string;
  readonly tenant?: string;
  /** The generation that answered; absent: the adapter is not stored. */
  readonly generation?: string;
}

/** One set of labels for each value. */
export const each = (label: string, values: readonly string[]) => values.map((value) => ({ [label]: value }));
