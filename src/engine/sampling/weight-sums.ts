/**
 * Sums the weights e^-distance of a whole row by the logits' distance below the greatest one. One pass gives the row's
 * total and where a share of it ends. Within a bucket e^-distance is a polynomial of the place in it, so a logit costs
 * no exponential. The error is 1e-12 of the sum.
 */
import type { Blocks } from "./blocks.ts";
import { expOfNegative } from "./exp.ts";
// Indices are bounded by their loops, hence `!`.

const BUCKETS_PER_UNIT = 64;
/** Logits further below weigh e^-64 or less. Even a whole vocabulary of them is below the sum's last digit. */
const MAX_BUCKET_DEPTH = 64;
const NUM_BUCKETS = MAX_BUCKET_DEPTH * BUCKETS_PER_UNIT;

const STEP = 1 / BUCKETS_PER_UNIT;
const C2 = STEP ** 2 / 2;
const C3 = STEP ** 3 / 6;
const C4 = STEP ** 4 / 24;

/** e^-distance at the middle of every bucket. */
const MIDDLES = Float64Array.from({ length: NUM_BUCKETS }, (_, i) => Math.exp(-(i + 0.5) * STEP));

/** Scale of a row's logits. The distance of a logit below the greatest is (max − logit) · scale. */
export interface LogitScale {
  readonly max: number;
  /** 1 / temperature */
  readonly scale: number;
  /** Logits further below the greatest weigh nothing. */
  readonly limit: number;
}

/** The bucket that a logit's weight is added to. */
export const bucketOf = (logit: number, { max, scale }: LogitScale): number =>
  ((max - logit) * (scale * BUCKETS_PER_UNIT)) | 0;

/** Sums of weights by bucket, likeliest first. */
export const createBuckets = (): Float64Array => new Float64Array(NUM_BUCKETS);

/** Fills `buckets` with a row's weights. @returns their sum */
export function sumWeights(
  { logits, maxima, blockSize }: Blocks,
  { max, scale, limit }: LogitScale,
  buckets: Float64Array,
): number {
  const end = Math.min(limit, MAX_BUCKET_DEPTH - STEP);
  const unit = scale * BUCKETS_PER_UNIT;
  const bar = end * BUCKETS_PER_UNIT;
  buckets.fill(0);
  for (let block = 0; block < maxima.length; block++) {
    if (!((max - maxima[block]!) * unit <= bar)) continue; // none of its logits has weight
    const stop = Math.min((block + 1) * blockSize, logits.length);
    for (let i = block * blockSize; i < stop; i++) {
      const place = (max - logits[i]!) * unit;
      if (!(place <= bar)) continue;
      const bucket = place | 0;
      const x = bucket + 0.5 - place; // ±1/2, upwards
      buckets[bucket] = buckets[bucket]! + (1 + x * (STEP + x * (C2 + x * (C3 + x * C4))));
    }
  }
  let total = 0;
  for (let i = 0; i < NUM_BUCKETS; i++) {
    const sum = buckets[i]!;
    if (sum === 0) continue;
    buckets[i] = sum * MIDDLES[i]!;
    total += buckets[i]!;
  }
  return total;
}

/** Weight of a logit within the limit. */
export const weightOf = (logit: number, { max, scale }: LogitScale): number => expOfNegative((logit - max) * scale);

/** Weight of any logit: 0 beyond the limit. A bound above the greatest logit weighs as much as the greatest. */
export const weightWithin = (logit: number, scaling: LogitScale): number =>
  (scaling.max - logit) * scaling.scale <= scaling.limit ? weightOf(Math.min(logit, scaling.max), scaling) : 0;
