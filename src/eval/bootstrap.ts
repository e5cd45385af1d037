/**
 * Confidence intervals of a score, by resampling its items: they show how much of a difference is chance.
 * Systems scored on the same items are resampled together, so that their
 * differences are paired. Source: Efron (1979); Koehn (2004) for BLEU.
 * Indices are bounded by their loops, hence `!`.
 */
import { nextUniform, seedRandom } from "../tensor/random.ts";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Unsigned 32-bit; the same seed gives the same interval. */
  readonly seed: number;
  readonly numResamples?: number;
  /** Share of resamples inside the interval. */
  readonly confidence?: number;
}

/** Intervals of each system's score, and of its difference from the first system's. */
export interface BootstrapResult {
  readonly intervals: readonly Interval[];
  readonly differences: readonly Interval[];
}

/**
 * @param systems for each system the statistics of every item, all of one length, items in the same order.
 * @param score computes a score from summed statistics.
 */
export function bootstrap(
  systems: readonly (readonly Float64Array[])[],
  score: (sum: Float64Array) => number,
  { seed, numResamples = 1000, confidence = 0.95 }: BootstrapOptions,
): BootstrapResult {
  const numItems = systems[0]?.length ?? 0;
  if (numItems === 0 || systems.some((items) => items.length !== numItems))
    throw new Error("internal: a bootstrap of no items, or of systems with different ones");
  const random = seedRandom(seed);
  const scores = systems.map(() => new Float64Array(numResamples));
  const drawn = new Uint32Array(numItems);
  for (let r = 0; r < numResamples; r++) {
    for (let i = 0; i < numItems; i++) drawn[i] = Math.floor(nextUniform(random) * numItems);
    systems.forEach((items, s) => (scores[s]![r] = score(addUp(items, drawn))));
  }
  const interval = (values: Float64Array): Interval => ({
    low: quantile(values, (1 - confidence) / 2),
    high: quantile(values, (1 + confidence) / 2),
  });
  return {
    intervals: scores.map(interval),
    differences: scores.map((values) => interval(values.map((value, r) => value - scores[0]![r]!))),
  };
}

/** The sum of the items' statistics, over the drawn items or all. */
export function addUp(items: readonly Float64Array[], drawn?: Uint32Array): Float64Array {
  const sum = new Float64Array(items[0]?.length ?? 0);
  const numDrawn = drawn?.length ?? items.length;
  for (let i = 0; i < numDrawn; i++) {
    const item = items[drawn === undefined ? i : drawn[i]!]!;
    for (let j = 0; j < sum.length; j++) sum[j]! += item[j]!;
  }
  return sum;
}

function quantile(values: Float64Array, share: number): number {
  const sorted = values.toSorted();
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const next = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (at - below) * (sorted[next]! - sorted[below]!);
}
