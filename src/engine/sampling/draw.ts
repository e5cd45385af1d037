/**
 * Draws from a whole row's distribution without computing every weight. A block is drawn by the greatest weight it
 * could have, and a place in it uniformly. The token is kept with the ratio of its weight to that bound. This is exact,
 * and takes at most 128 tries on average.
 *
 * For top_p, a drawn token counts when the likelier tokens hold less than top_p. A few blocks or bounds usually decide
 * that; otherwise the row is summed once. Tokens less likely than a rejected one are not drawn again.
 *
 * Source: von Neumann's rejection (1951); pivots as in FlashInfer's sampling kernels.
 */
import { type RandomState, nextUniform } from "../../tensor/random.ts";
import type { Blocks } from "./blocks.ts";
import { expOfNegative } from "./exp.ts";
import { type MassBounds, boundMasses, createMassBounds, isAheadLess } from "./mass-bounds.ts";
import { selectMass } from "./select.ts";
import { type LogitScale, bucketOf, createBuckets, sumWeights, weightOf } from "./weight-sums.ts";
// Indices are bounded by their loops, hence `!`.

/** Maximum number of blocks that are searched before the whole row is summed. */
const MAX_BLOCKS = 48;
/** Margin that keeps decisions by bounds safe from rounding errors. */
const MARGIN = 1e-9;
/**
 * Maximum number of draws that fall after the cut, as with many equal logits. Then all tokens before the cut are
 * weighed instead.
 */
const MAX_MISSES = 16;

/** Work space, shared by all rows of an engine. */
export interface DrawScratch {
  readonly ids: Int32Array; // [V]
  readonly weights: Float64Array; // [V]
  /** Running sums of the blocks' greatest possible weights. */
  readonly ceilings: Float64Array; // [V], for blocks of any size
  readonly buckets: Float64Array;
  readonly bounds: MassBounds;
}

export function createDrawScratch(vocabSize: number): DrawScratch {
  return {
    ids: new Int32Array(vocabSize),
    weights: new Float64Array(vocabSize),
    ceilings: new Float64Array(vocabSize),
    buckets: createBuckets(),
    bounds: createMassBounds(),
  };
}

/** The last token that belongs to the cut. */
interface Cut {
  readonly id: number;
  readonly logit: number;
}

/**
 * Draws a token by softmax of the logits times `scale`. Only tokens within the limit count, and of those the first
 * whose mass reaches `topP`.
 */
export function drawToken(
  blocks: Blocks,
  scaling: LogitScale,
  topP: number,
  random: RandomState,
  scratch: DrawScratch,
): number {
  const { logits } = blocks;
  let total = sumBlockCeilings(blocks, scaling, scratch.ceilings);
  if (topP >= 1) return drawOne(blocks, scaling, total, random, scratch.ceilings);
  const mostPossible = total;
  let { limit } = scaling;
  let isBounded = false;
  for (let miss = 0; ; miss++) {
    const id = drawOne(blocks, { ...scaling, limit }, total, random, scratch.ceilings);
    let isIn = isWithin(blocks, scaling, topP, id, mostPossible);
    if (isIn === null) {
      if (!isBounded) boundMasses(logits, scaling, scratch.bounds);
      isBounded = true;
      isIn = isAheadLess(scratch.bounds, logits[id]!, topP);
    }
    if (isIn === true) return id;
    if (isIn === null || miss === MAX_MISSES) {
      const cut = cutOf(blocks, scaling, topP, scratch);
      return isAheadOf(logits, id, cut) ? id : drawBefore(blocks, scaling, cut, random, scratch);
    }
    limit = (scaling.max - logits[id]!) * scaling.scale;
    total = sumBlockCeilings(blocks, { ...scaling, limit }, scratch.ceilings);
  }
}

/** Whether a token comes before the cut or is its last. */
const isAheadOf = (logits: Float32Array, id: number, cut: Cut): boolean =>
  logits[id]! > cut.logit || (logits[id] === cut.logit && id <= cut.id);

/** Draws until the token belongs to the cut. */
function drawBefore(blocks: Blocks, scaling: LogitScale, cut: Cut, random: RandomState, scratch: DrawScratch): number {
  const { logits } = blocks;
  const before = { ...scaling, limit: (scaling.max - cut.logit) * scaling.scale };
  const total = sumBlockCeilings(blocks, before, scratch.ceilings);
  for (let miss = 0; miss < MAX_MISSES; miss++) {
    const id = drawOne(blocks, before, total, random, scratch.ceilings);
    if (isAheadOf(logits, id, cut)) return id;
  }
  const size = gather(blocks, before, (id) => isAheadOf(logits, id, cut), scratch);
  return drawListed(scratch.ids, scratch.weights, size, random);
}

/** Draws from a list of ids by their weights. */
export function drawListed(ids: Int32Array, weights: Float64Array, size: number, random: RandomState): number {
  let total = 0;
  for (let i = 0; i < size; i++) total += weights[i]!;
  let rest = nextUniform(random) * total;
  let last = ids[0]!;
  for (let i = 0; i < size; i++) {
    if (weights[i] === 0) continue;
    last = ids[i]!;
    rest -= weights[i]!;
    if (rest < 0) break;
  }
  return last; // the last possible id, where rounding left a remainder
}

/**
 * Sums the greatest possible weights of the blocks, as if all logits of a block equalled its maximum. @returns the sum
 */
function sumBlockCeilings({ maxima, blockSize, logits }: Blocks, scaling: LogitScale, ceilings: Float64Array): number {
  const { max, scale, limit } = scaling;
  const numInLast = logits.length - (maxima.length - 1) * blockSize;
  let total = 0;
  for (let block = 0; block < maxima.length; block++) {
    const size = block === maxima.length - 1 ? numInLast : blockSize;
    if ((max - maxima[block]!) * scale <= limit) total += size * weightOf(maxima[block]!, scaling);
    ceilings[block] = total;
  }
  return total;
}

/** Draws one token within the limit, by its weight. */
function drawOne(
  { logits, maxima, blockSize }: Blocks,
  { max, scale, limit }: LogitScale,
  total: number,
  random: RandomState,
  ceilings: Float64Array,
): number {
  for (;;) {
    const at = nextUniform(random) * total;
    const block = firstAbove(ceilings, maxima.length, at);
    const start = block * blockSize;
    const size = Math.min(blockSize, logits.length - start);
    const before = block === 0 ? 0 : ceilings[block - 1]!;
    const place = Math.floor(((at - before) / (ceilings[block]! - before)) * size);
    const id = start + Math.min(size - 1, place); // rounding may give the size itself
    const isKept = nextUniform(random) < expOfNegative((logits[id]! - maxima[block]!) * scale);
    if (isKept && (max - logits[id]!) * scale <= limit) return id;
  }
}

/**
 * Index of the first of `count` ascending values that is above `at`. Where rounding left none, the index of the last
 * value that rises.
 */
function firstAbove(values: Float64Array, count: number, at: number): number {
  const bound = Math.min(at, values[count - 1]! * (1 - Number.EPSILON));
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Whether the tokens likelier than this one hold less than `topP` of the mass; null where a few blocks cannot decide
 * that.
 * @param mostPossible of the row: every block's greatest possible weight
 */
function isWithin(
  { logits, maxima, blockSize }: Blocks,
  scaling: LogitScale,
  topP: number,
  id: number,
  mostPossible: number,
): boolean | null {
  const { max, scale, limit } = scaling;
  const logit = logits[id]!;
  let numBlocks = 0;
  for (let block = 0; block < maxima.length; block++)
    if (maxima[block]! >= logit && ++numBlocks > MAX_BLOCKS) return null;
  let ahead = 0;
  let known = 0;
  let rest = mostPossible; // of the blocks that are not searched
  for (let block = 0; block < maxima.length; block++) {
    if (maxima[block]! < logit) continue;
    const end = Math.min((block + 1) * blockSize, logits.length);
    rest -= (end - block * blockSize) * weightOf(maxima[block]!, scaling);
    for (let i = block * blockSize; i < end; i++) {
      const value = logits[i]!;
      if (!((max - value) * scale <= limit)) continue;
      const weight = weightOf(value, scaling);
      known += weight;
      if (value > logit || (value === logit && i < id)) ahead += weight;
    }
  }
  if (ahead < topP * (known + Math.max(0, rest) / blockSize) * (1 - MARGIN) || ahead === 0) return true;
  return ahead >= topP * (known + Math.max(0, rest)) * (1 + MARGIN) ? false : null;
}

/** The last token of the smallest set, heaviest first, whose weights reach `topP` of the row's. */
function cutOf(blocks: Blocks, scaling: LogitScale, topP: number, scratch: DrawScratch): Cut {
  const { logits } = blocks;
  const { ids, weights, buckets } = scratch;
  const target = topP * sumWeights(blocks, scaling, buckets);
  let ahead = 0;
  let bucket = 0;
  let last = 0;
  for (; bucket < buckets.length; bucket++) {
    if (buckets[bucket] === 0) continue;
    last = bucket;
    if (ahead + buckets[bucket]! >= target) break;
    ahead += buckets[bucket]!;
  }
  const size = gather(blocks, scaling, (i) => bucketOf(logits[i]!, scaling) === last, scratch);
  const count = selectMass(ids, weights, size, target - ahead);
  let id = ids[0]!;
  for (let i = 1; i < count; i++) {
    const other = ids[i]!;
    if (logits[other]! < logits[id]! || (logits[other] === logits[id] && other > id)) id = other;
  }
  return { id, logit: logits[id]! };
}

/** Writes the wanted tokens within the limit, and their weights. @returns their number */
function gather(
  { logits, maxima, blockSize }: Blocks,
  scaling: LogitScale,
  isWanted: (id: number) => boolean,
  { ids, weights }: DrawScratch,
): number {
  const { max, scale, limit } = scaling;
  let size = 0;
  for (let block = 0; block < maxima.length; block++) {
    if (!((max - maxima[block]!) * scale <= limit)) continue;
    const end = Math.min((block + 1) * blockSize, logits.length);
    for (let i = block * blockSize; i < end; i++) {
      if (!((max - logits[i]!) * scale <= limit) || !isWanted(i)) continue;
      ids[size] = i;
      weights[size++] = weightOf(logits[i]!, scaling);
    }
  }
  return size;
}
