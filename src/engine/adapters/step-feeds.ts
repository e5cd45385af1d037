/**
 * The adapter inputs of a step, wherever their memory is. `adapter-feeds.ts` makes them on the host,
 * `resident-feeds.ts` keeps them on a device.
 */
import type { RuntimeTensor } from "../../runtime/ort.ts";
import type { AdapterRow } from "./adapter-row.ts";

export type Feeds = Record<string, RuntimeTensor>;

export interface StepFeeds {
  /** Feeds of a step of one sequence. */
  single(adapter: AdapterRow | null): Feeds | Promise<Feeds>;
  /** Feeds of a decode step, one adapter (or none) a row. The same rows give the same tensors, unchanged. */
  batch(rows: readonly (AdapterRow | null)[]): Feeds | Promise<Feeds>;
}
