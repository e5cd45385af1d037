/**
 * Weights as integer levels in groups along their rows: w = (level − zero) · scale. The formats of GPTQ, AWQ and
 * compressed-tensors only differ in the order in which they pack these numbers. A graph holds them unchanged in blocks
 * of 32: a larger group repeats its scale and zero point. Activations are rounded in the same blocks, so small ones
 * lose less.
 */
// Indices are bounded by their loops, hence `!`.
import { type QuantizedLayout, type QuantizedMatrix, emptyMatrix } from "../../model/serve/quantized-matrix.ts";
import type { CodedWeight } from "./coded-weight.ts";

export interface IntegerNumbers {
  /** [dOut,dIn] */
  readonly levels: Uint8Array;
  /** [dOut,groups] */
  readonly zeros: Uint8Array;
  /** [dOut,groups] */
  readonly scales: Float32Array;
}

export interface IntegerWeight {
  readonly type: string;
  readonly shape: readonly [dOut: number, dIn: number];
  readonly bits: 4 | 8;
  readonly numGroups: number;
  /** The group of each input; null: groups of equal size, in sequence. */
  readonly groupOf: readonly number[] | null;
  readonly scaleType: QuantizedLayout["scaleType"];
  readonly read: () => Promise<IntegerNumbers>;
}

const BLOCK_SIZE = 32;

export function codedIntegers(weight: IntegerWeight): CodedWeight {
  const { type, shape, read } = weight;
  const layout = layoutOf(weight);
  return {
    type,
    shape,
    layout,
    decode: async () => decoded(weight, await read()),
    numbers: async () => {
      if (!layout) throw new Error(`internal: ${type} has no numbers to keep`);
      return inBlocks(weight, layout, await read());
    },
  };
}

function layoutOf({ shape: [, dIn], bits, numGroups, groupOf, scaleType }: IntegerWeight): QuantizedLayout | null {
  if (groupOf !== null || dIn % BLOCK_SIZE !== 0 || (dIn / numGroups) % BLOCK_SIZE !== 0) return null;
  return { bits, blockSize: BLOCK_SIZE, accuracyLevel: 4, hasZeroPoints: true, hasMinimums: false, scaleType };
}

/** Rounded to float32 once, as the libraries do in float32. */
function decoded({ shape, numGroups, groupOf }: IntegerWeight, numbers: IntegerNumbers): Float32Array {
  const [dOut, dIn] = shape;
  const { levels, zeros, scales } = numbers;
  const groupSize = dIn / numGroups;
  const groups = Int32Array.from({ length: dIn }, (_, i) => groupOf?.[i] ?? Math.floor(i / groupSize));
  const values = new Float32Array(dOut * dIn);
  for (let row = 0; row < dOut; row++) {
    const [start, first] = [row * dIn, row * numGroups];
    for (let i = 0; i < dIn; i++) {
      const group = first + groups[i]!;
      values[start + i] = (levels[start + i]! - zeros[group]!) * scales[group]!;
    }
  }
  return values;
}

function inBlocks(weight: IntegerWeight, layout: QuantizedLayout, numbers: IntegerNumbers): QuantizedMatrix {
  const [dOut, dIn] = weight.shape;
  const matrix = emptyMatrix(dOut, dIn, layout);
  const { levels } = numbers;
  if (layout.bits === 8) matrix.packed.set(levels);
  else for (let i = 0; i < matrix.packed.length; i++) matrix.packed[i] = levels[2 * i]! | (levels[2 * i + 1]! << 4);
  const numBlocks = dIn / BLOCK_SIZE;
  const repeats = numBlocks / weight.numGroups;
  const zeroBytes = Math.ceil((numBlocks * layout.bits) / 8);
  const zeroPoints = matrix.zeroPoints!; // the layout has them
  for (let row = 0; row < dOut; row++)
    for (let block = 0; block < numBlocks; block++) {
      const group = row * weight.numGroups + Math.floor(block / repeats);
      matrix.scales[row * numBlocks + block] = numbers.scales[group]!;
      const zero = numbers.zeros[group]!;
      if (layout.bits === 8) zeroPoints[row * zeroBytes + block] = zero;
      else {
        const at = row * zeroBytes + (block >> 1);
        zeroPoints[at] = block & 1 ? (zeroPoints[at]! & 0x0f) | (zero << 4) : (zeroPoints[at]! & 0xf0) | zero;
      }
    }
  return matrix;
}

/** The fields of `bits` bits in each word, lowest first. */
export function unpackedFields(words: Int32Array, bits: 4 | 8): Uint8Array {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  if (bits === 8) return bytes;
  const fields = new Uint8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    fields[2 * i] = bytes[i]! & 15;
    fields[2 * i + 1] = bytes[i]! >> 4;
  }
  return fields;
}

/** A matrix [rows,columns] in row order as [columns,rows]. */
export function turned<T extends Uint8Array | Float32Array>(values: T, rows: number, columns: number): T {
  const out = values.slice() as T;
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  return out;
}
