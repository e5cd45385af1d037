/**
 * Draws from a whole row's distribution without weighing the row. A block is drawn by the most it could weigh, a place in it evenly, and
 * kept with the share that its weight has of that: exact, and 128 tries at most on average. For top_p what is drawn counts when what is
 * likelier holds less than top_p; that is plain from a few blocks or from bounds, or else the row is summed once. What a rejected draw is
 * not ahead of is not drawn again. Source: von Neumann's rejection (1951); pivots as in FlashInfer's sampling kernels.
 */
import { type RandomState, nextUniform } from "../../tensor/random.ts";
import type { Blocks } from "./blocks.ts";
import { expOfNegative } from "./exp.ts";
import { type MassBounds, boundMasses, createMassBounds, isAheadLess } from "./mass-bounds.ts";
import { selectMass } from "./select.ts";
import { type Depths, bucketOf, createBuckets, sumWeights, weightOf } from "./weight-sums.ts";
// Indices are bounded by their loops, hence `!`.

/** Blocks looked into before the whole row is summed. */
const MAX_BLOCKS = 48;
/** Keeps what is decided from bounds clear of rounding. */
const MARGIN = 1e-9;
/** Draws that may fall behind the cut before everything ahead of it is weighed instead (many equal logits). */
const MAX_MISSES = 16;

/** Work space, shared by all rows of an engine. */
export interface DrawScratch {
  readonly ids: Int32Array; // [V]
  readonly weights: Float64Array; // [V]
  /** Sums of the blocks' greatest possible weights, up to each block. */
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

/** A token drawn by softmax of the logits times `scale`, of those within the limit and the first whose mass reaches `topP`. */
export function drawToken(
  blocks: Blocks,
  depths: Depths,
  topP: number,
  random: RandomState,
  scratch: DrawScratch,
): number {
  const { logits } = blocks;
  let total = raiseCeilings(blocks, depths, scratch.ceilings);
  if (topP >= 1) return drawOne(blocks, depths, total, random, scratch.ceilings);
  const mostPossible = total;
  let { limit } = depths;
  let isBounded = false;
  for (let miss = 0; ; miss++) {
    const id = drawOne(blocks, { ...depths, limit }, total, random, scratch.ceilings);
    let isIn = isWithin(blocks, depths, topP, id, mostPossible);
    if (isIn === null) {
      if (!isBounded) boundMasses(logits, depths, scratch.bounds);
      isBounded = true;
      isIn = isAheadLess(scratch.bounds, logits[id]!, topP);
    }
    if (isIn === true) return id;
    if (isIn === null || miss === MAX_MISSES) {
      const cut = cutOf(blocks, depths, topP, scratch);
      return isAheadOf(logits, id, cut) ? id : drawBefore(blocks, depths, cut, random, scratch);
    }
    limit = (depths.max - logits[id]!) * depths.scale;
    total = raiseCeilings(blocks, { ...depths, limit }, scratch.ceilings);
  }
}

/** Whether a token comes before the cut or is its last. */
const isAheadOf = (logits: Float32Array, id: number, cut: Cut): boolean =>
  logits[id]! > cut.logit || (logits[id] === cut.logit && id <= cut.id);

/** Draws until the token belongs to the cut. */
function drawBefore(blocks: Blocks, depths: Depths, cut: Cut, random: RandomState, scratch: DrawScratch): number {
  const { logits } = blocks;
  const before = { ...depths, limit: (depths.max - cut.logit) * depths.scale };
  const total = raiseCeilings(blocks, before, scratch.ceilings);
  for (let miss = 0; miss < MAX_MISSES; miss++) {
    const id = drawOne(blocks, before, total, random, scratch.ceilings);
    if (isAheadOf(logits, id, cut)) return id;
  }
  const size = gather(blocks, before, (id) => isAheadOf(logits, id, cut), scratch);
  return drawListed(scratch.ids, scratch.weights, size, random);
}

/** Draws from ids by their weights, one after the other. */
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
  return last; // the last possible one where rounding left a rest
}

/** Sums up the most that every block could weigh: all of its logits as great as the greatest. @returns the sum */
function raiseCeilings({ maxima, blockSize, logits }: Blocks, depths: Depths, ceilings: Float64Array): number {
  const { max, scale, limit } = depths;
  const numInLast = logits.length - (maxima.length - 1) * blockSize;
  let total = 0;
  for (let block = 0; block < maxima.length; block++) {
    const size = block === maxima.length - 1 ? numInLast : blockSize;
    if ((max - maxima[block]!) * scale <= limit) total += size * weightOf(maxima[block]!, depths);
    ceilings[block] = total;
  }
  return total;
}

/** One token within the limit, by its weight. */
function drawOne(
  { logits, maxima, blockSize }: Blocks,
  { max, scale, limit }: Depths,
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

/** Index of the first of `count` ascending values that is above `at`; the last that rises where rounding left none. */
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
 * Whether what is likelier than a token holds less than `topP` of the mass; null where that takes more than a few blocks to say.
 * @param mostPossible of the row: every block's greatest possible weight
 */
function isWithin(
  { logits, maxima, blockSize }: Blocks,
  depths: Depths,
  topP: number,
  id: number,
  mostPossible: number,
): boolean | null {
  const { max, scale, limit } = depths;
  const logit = logits[id]!;
  let numBlocks = 0;
  for (let block = 0; block < maxima.length; block++)
    if (maxima[block]! >= logit && ++numBlocks > MAX_BLOCKS) return null;
  let ahead = 0;
  let known = 0;
  let rest = mostPossible; // of the blocks that are not looked into
  for (let block = 0; block < maxima.length; block++) {
    if (maxima[block]! < logit) continue;
    const end = Math.min((block + 1) * blockSize, logits.length);
    rest -= (end - block * blockSize) * weightOf(maxima[block]!, depths);
    for (let i = block * blockSize; i < end; i++) {
      const value = logits[i]!;
      if (!((max - value) * scale <= limit)) continue;
      const weight = weightOf(value, depths);
      known += weight;
      if (value > logit || (value === logit && i < id)) ahead += weight;
    }
  }
  if (ahead < topP * (known + Math.max(0, rest) / blockSize) * (1 - MARGIN) || ahead === 0) return true;
  return ahead >= topP * (known + Math.max(0, rest)) * (1 + MARGIN) ? false : null;
}

/** The last of the fewest tokens, heaviest first, whose weights reach `topP` of the row's. */
function cutOf(blocks: Blocks, depths: Depths, topP: number, scratch: DrawScratch): Cut {
  const { logits } = blocks;
  const { ids, weights, buckets } = scratch;
  const target = topP * sumWeights(blocks, depths, buckets);
  let ahead = 0;
  let bucket = 0;
  let last = 0;
  for (; bucket < buckets.length; bucket++) {
    if (buckets[bucket] === 0) continue;
    last = bucket;
    if (ahead + buckets[bucket]! >= target) break;
    ahead += buckets[bucket]!;
  }
  const size = gather(blocks, depths, (i) => bucketOf(logits[i]!, depths) === last, scratch);
  const count = selectMass(ids, weights, size, target - ahead);
  let id = ids[0]!;
  for (let i = 1; i < count; i++) {
    const other = ids[i]!;
    if (logits[other]! < logits[id]! || (logits[other] === logits[id] && other > id)) id = other;
  }
  return { id, logit: logits[id]! };
}

/** Writes the tokens within the limit that are wanted, and their weights. @returns how many they are */
function gather(
  { logits, maxima, blockSize }: Blocks,
  depths: Depths,
  isWanted: (id: number) => boolean,
  { ids, weights }: DrawScratch,
): number {
  const { max, scale, limit } = depths;
  let size = 0;
  for (let block = 0; block < maxima.length; block++) {
    if (!((max - maxima[block]!) * scale <= limit)) continue;
    const end = Math.min((block + 1) * blockSize, logits.length);
    for (let i = block * blockSize; i < end; i++) {
      if (!((max - logits[i]!) * scale <= limit) || !isWanted(i)) continue;
      ids[size] = i;
      weights[size++] = weightOf(logits[i]!, depths);
    }
  }
  return size;
}
