/**
 * Chooses the numbers of a quantised weight, block by block: of all
 * candidates, those with the least squared error of the weights.
 * Weights that were quantised in blocks like ours (Q4_0, Q4_1, Q8_0)
 * are recovered without error. Pure; `quantized-matrix.ts` packs them.
 */
// Indices are bounded by their loops, hence `!`.
import { type QuantizedLayout, type QuantizedMatrix, emptyMatrix, roundedTo } from "./quantized-matrix.ts";

/** The meaning of a block's levels: w = (level − zero) · scale + minimum. */
interface BlockCode {
  scale: number;
  zero: number;
  minimum: number;
}

/** Share of a block's range that its levels span. Values outside are cut off, and the steps inside are finer. */
const SPANS = [1, 0.94, 0.88, 0.82] as const;
/** Candidate zero points around the one that the span gives. */
const ZERO_STEPS = [0, -1, 1] as const;

/** Quantises rows of `weight` (float32 [rows,dIn]) into `target`, whose first row to write is `firstRow`. */
export function quantizeWeightRows(weight: Float32Array, target: QuantizedMatrix, firstRow: number): void {
  const { layout, dIn } = target;
  const numBlocks = Math.ceil(dIn / layout.blockSize);
  const numRows = weight.length / dIn;
  const search = new BlockSearch(layout);
  for (let row = 0; row < numRows; row++)
    for (let at = 0; at < numBlocks; at++) {
      const start = row * dIn + at * layout.blockSize;
      const end = Math.min(start + layout.blockSize, (row + 1) * dIn);
      writeBlock(target, firstRow + row, at, search.codeOf(weight, start, end), weight.subarray(start, end));
    }
}

/** Quantises a whole weight [dOut,dIn]. */
export function quantizedMatrix(weight: Float32Array, dIn: number, layout: QuantizedLayout): QuantizedMatrix {
  const matrix = emptyMatrix(weight.length / dIn, dIn, layout);
  quantizeWeightRows(weight, matrix, 0);
  return matrix;
}

/** The candidates of one layout, tried on one block after another. */
class BlockSearch {
  readonly #layout: QuantizedLayout;
  readonly #top: number;
  readonly #middle: number;
  readonly #best: BlockCode = { scale: 0, zero: 0, minimum: 0 };
  #error = Infinity;

  constructor(layout: QuantizedLayout) {
    this.#layout = layout;
    this.#top = 2 ** layout.bits - 1;
    this.#middle = 2 ** (layout.bits - 1);
  }

  /** The best code of `weight` from `start` to `end`. The returned object is reused. */
  codeOf(weight: Float32Array, start: number, end: number): Readonly<BlockCode> {
    let low = weight[start]!;
    let high = low;
    for (let i = start + 1; i < end; i++) {
      const value = weight[i]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    this.#error = Infinity;
    this.#best.scale = 0;
    this.#best.zero = this.#layout.hasMinimums ? 0 : this.#middle;
    this.#best.minimum = 0;
    if (low === 0 && high === 0) return this.#best;
    if (this.#layout.hasMinimums) this.#tryMinimums(weight, start, end, low, high);
    else if (this.#layout.hasZeroPoints) this.#tryZeroPoints(weight, start, end, Math.min(low, 0), Math.max(high, 0));
    // Tried last, because it is seldom the best. A candidate is dropped as soon as its error is larger than the best.
    if (this.#error > 0) this.#trySymmetric(weight, start, end, low, high);
    if (this.#error > 0) this.#refine(weight, start, end);
    return this.#best;
  }

  /**
   * The value of greatest magnitude gets the last level of its side: −8 of 4 bits (as in Q4_0), ±127 of 8 (as in Q8_0).
   */
  #trySymmetric(weight: Float32Array, start: number, end: number, low: number, high: number): void {
    const greatest = -low > high ? low : high;
    const scale = this.#layout.bits === 8 ? Math.abs(greatest) / 127 : -greatest / 8;
    if (this.#layout.hasMinimums) this.#try(weight, start, end, scale, 0, -this.#middle * scale);
    else this.#try(weight, start, end, scale, this.#middle, 0);
  }

  #tryZeroPoints(weight: Float32Array, start: number, end: number, low: number, high: number): void {
    const spans = this.#layout.bits === 8 ? [1] : SPANS;
    const steps = this.#layout.bits === 8 ? [0] : ZERO_STEPS;
    for (const span of spans) {
      const scale = ((high - low) * span) / this.#top;
      const zero = Math.round(this.#top / 2 - (low + high) / 2 / scale);
      for (const step of steps) this.#try(weight, start, end, scale, zero + step, 0);
    }
  }

  #tryMinimums(weight: Float32Array, start: number, end: number, low: number, high: number): void {
    for (const span of SPANS) {
      const scale = ((high - low) * span) / this.#top;
      this.#try(weight, start, end, scale, 0, low + ((high - low) * (1 - span)) / 2);
    }
  }

  /** Keeps this code if it is better than the best so far. */
  #try(weight: Float32Array, start: number, end: number, rawScale: number, zero: number, rawMinimum: number): void {
    if (zero < 0 || zero > this.#top) return;
    const scale = roundedTo(this.#layout.scaleType, rawScale);
    const minimum = rawMinimum === 0 ? 0 : roundedTo(this.#layout.scaleType, rawMinimum);
    if (scale === 0) return;
    const inverse = 1 / scale;
    const [lowest, highest] = [-zero, this.#top - zero];
    const bound = this.#error;
    let error = 0;
    for (let i = start; i < end && error < bound; i++) {
      const value = weight[i]! - minimum;
      const level = bounded(value * inverse, lowest, highest);
      const off = value - level * scale;
      error += off * off;
    }
    if (!(error < bound)) return;
    this.#error = error;
    this.#best.scale = scale;
    this.#best.zero = zero;
    this.#best.minimum = minimum;
  }

  /** The scale (and minimum) of least squared error for the levels of the best code. */
  #refine(weight: Float32Array, start: number, end: number): void {
    const { scale, zero, minimum } = this.#best;
    if (scale === 0) return;
    const inverse = 1 / scale;
    const [lowest, highest] = [-zero, this.#top - zero];
    let [levels, squares, values, products] = [0, 0, 0, 0];
    for (let i = start; i < end; i++) {
      const level = bounded((weight[i]! - minimum) * inverse, lowest, highest);
      levels += level;
      squares += level * level;
      values += weight[i]!;
      products += level * weight[i]!;
    }
    const count = end - start;
    const spread = count * squares - levels * levels;
    if (this.#layout.hasMinimums && spread > 0) {
      const slope = (count * products - levels * values) / spread;
      this.#try(weight, start, end, slope, zero, (values - slope * levels) / count);
    } else if (squares > 0) this.#try(weight, start, end, products / squares, zero, minimum);
  }
}

/**
 * A sum with this number has no fractional digits left. Adding it rounds to whole numbers, several times as fast as
 * `Math.round`.
 */
const WHOLE = 1.5 * 2 ** 52;

/** The whole number nearest to `value`, between two bounds. */
function bounded(value: number, lowest: number, highest: number): number {
  const level = value + WHOLE - WHOLE;
  return level < lowest ? lowest : level > highest ? highest : level;
}

/** Writes the levels of `values` and their code as a block of the matrix. */
function writeBlock(target: QuantizedMatrix, row: number, at: number, code: BlockCode, values: Float32Array): void {
  const { layout, dIn, packed, scales, zeroPoints, minimums } = target;
  const { bits, blockSize } = layout;
  const { scale, zero, minimum } = code;
  const numBlocks = Math.ceil(dIn / blockSize);
  const block = row * numBlocks + at;
  scales[block] = scale;
  if (minimums) minimums[block] = minimum;
  if (zeroPoints) writeLevel(zeroPoints, row * Math.ceil((numBlocks * bits) / 8), at, zero, bits);
  const [inverse, top] = [scale === 0 ? 0 : 1 / scale, 2 ** bits - 1];
  const start = (block * blockSize * bits) / 8;
  for (let i = 0; i < blockSize; i++) {
    // The padding of the last block represents 0, and so does the padding of x.
    const level = i < values.length ? bounded((values[i]! - minimum) * inverse, -zero, top - zero) + zero : zero;
    writeLevel(packed, start, i, level, bits);
  }
}

function writeLevel(bytes: Uint8Array, start: number, at: number, level: number, bits: 4 | 8): void {
  if (bits === 8) {
    bytes[start + at] = level;
    return;
  }
  const place = start + (at >> 1);
  bytes[place] = at & 1 ? (bytes[place]! & 0x0f) | (level << 4) : (bytes[place]! & 0xf0) | level;
}
