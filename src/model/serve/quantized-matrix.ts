/**
 * A weight [dOut,dIn] in blocks along its rows, in the form of the serving graph. A block has a scale and either a zero
 * point, w = (level − zero point) · scale, or a minimum, w = level · scale + minimum. It is packed as MatMulNBits reads
 * it. `quantize.ts` chooses the numbers.
 *
 * Two of llama.cpp's types are represented exactly without zero points: Q4_0 (4 bits) and Q8_0 (8 bits), in blocks of
 * 32. Q4_1 (4 bits, blocks of 32, minimums) is exact too, because its scales and minimums are float16 as well.
 */
// Indices are bounded by their loops, hence `!`.
import type { QuantizedFormat } from "../../graph/ops/linear.ts";
import { float32ToFloat16 } from "../../tensor/float16.ts";
import type { HostTensor } from "../../tensor/host-tensor.ts";

/** The kinds of numbers of a block besides levels and scale. */
export interface QuantizedLayout extends QuantizedFormat {
  /** Whether blocks have their own integer zero points, which cost no time. Otherwise the zero point is 2^(bits-1). */
  readonly hasZeroPoints: boolean;
  /**
   * Whether blocks have minimums, which are added in float32. This takes a sixth more time at one row. Never with zero
   * points, and only if blocks divide the rows.
   */
  readonly hasMinimums: boolean;
  /** Stored type of scales and minimums; float32 if they are too small or too large for float16. */
  readonly scaleType: "float16" | "float32";
}

export interface QuantizedMatrix {
  readonly layout: QuantizedLayout;
  readonly dOut: number;
  readonly dIn: number;
  /**
   * The levels, [dOut, blocks, blockSize·bits/8]. The first of two levels in a byte is in the low half. The last block
   * is padded.
   */
  readonly packed: Uint8Array;
  /** [dOut, blocks] */
  readonly scales: Float32Array;
  /** [dOut, ceil(blocks·bits/8)], packed like the levels; null where the layout has none. */
  readonly zeroPoints: Uint8Array | null;
  /** [dOut, blocks]; null where the layout has none. */
  readonly minimums: Float32Array | null;
}

const LAYOUT_KEYS = ["bits", "blockSize", "accuracyLevel", "hasZeroPoints", "hasMinimums", "scaleType"] as const;

export function isSameLayout(one: QuantizedLayout | null, other: QuantizedLayout | null): boolean {
  return one === other || LAYOUT_KEYS.every((key) => one?.[key] === other?.[key]);
}

/** 8 or 4 bits without zero points and minimums, scales in float32. */
export function plainLayout(bits: 4 | 8, blockSize: number): QuantizedLayout {
  return { bits, blockSize, accuracyLevel: 4, hasZeroPoints: false, hasMinimums: false, scaleType: "float32" };
}

/** Shapes of the parts of a weight [dOut,dIn]. */
export function partShapes(
  dOut: number,
  dIn: number,
  { bits, blockSize }: Pick<QuantizedLayout, "bits" | "blockSize">,
): { readonly packed: number[]; readonly scales: number[]; readonly zeroPoints: number[] } {
  const numBlocks = Math.ceil(dIn / blockSize);
  return {
    packed: [dOut, numBlocks, (blockSize * bits) / 8],
    scales: [dOut, numBlocks],
    zeroPoints: [dOut, Math.ceil((numBlocks * bits) / 8)],
  };
}

/** A matrix of zeros, to be filled block by block. */
export function emptyMatrix(dOut: number, dIn: number, layout: QuantizedLayout): QuantizedMatrix {
  const shapes = partShapes(dOut, dIn, layout);
  const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const middle = layout.bits === 8 ? 128 : 0x88;
  return {
    layout,
    dOut,
    dIn,
    packed: new Uint8Array(size(shapes.packed)).fill(middle),
    scales: new Float32Array(size(shapes.scales)),
    zeroPoints: layout.hasZeroPoints ? new Uint8Array(size(shapes.zeroPoints)).fill(middle) : null,
    minimums: layout.hasMinimums ? new Float32Array(size(shapes.scales)) : null,
  };
}

/** Copies a matrix of the same layout into the rows of another, from `firstRow` on. */
export function copyRows(from: QuantizedMatrix, target: QuantizedMatrix, firstRow: number): void {
  for (const part of ["packed", "scales", "zeroPoints", "minimums"] as const) {
    const [source, all] = [from[part], target[part]];
    if (source && all) all.set(source, (all.length / target.dOut) * firstRow);
    else if (source || all) throw new Error(`internal: rows of another layout, ${part} on one side alone`);
  }
}

/** Bytes of a weight [dOut,dIn] in a file, with all parts counted. */
export function matrixBytes(dOut: number, dIn: number, layout: QuantizedLayout): number {
  const shapes = partShapes(dOut, dIn, layout);
  const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const numberBytes = size(shapes.scales) * (layout.scaleType === "float16" ? 2 : 4);
  const zeroPointBytes = layout.hasZeroPoints ? size(shapes.zeroPoints) : 0;
  return size(shapes.packed) + numberBytes * (layout.hasMinimums ? 2 : 1) + zeroPointBytes;
}

/** Bits of a weight in a file, with all parts counted. */
export function bitsPerWeight({ bits, blockSize, hasZeroPoints, hasMinimums, scaleType }: QuantizedLayout): number {
  const scaleBits = scaleType === "float16" ? 16 : 32;
  return bits + (scaleBits * (hasMinimums ? 2 : 1) + (hasZeroPoints ? bits : 0)) / blockSize;
}

/** The level of a block that represents 0, or the minimum; `at` counts blocks within the row. */
function zeroPointAt({ layout, zeroPoints, dIn }: QuantizedMatrix, row: number, at: number): number {
  if (layout.hasMinimums) return 0;
  if (!zeroPoints) return 2 ** (layout.bits - 1);
  const numBytes = Math.ceil((Math.ceil(dIn / layout.blockSize) * layout.bits) / 8);
  if (layout.bits === 8) return zeroPoints[row * numBytes + at]!;
  return (zeroPoints[row * numBytes + (at >> 1)]! >> (at & 1 ? 4 : 0)) & 15;
}

/** The weights that the numbers represent, float64 [dOut,dIn]. */
export function dequantized(matrix: QuantizedMatrix): Float64Array {
  const { layout, dOut, dIn, packed, scales, minimums } = matrix;
  const { bits, blockSize } = layout;
  const numBlocks = Math.ceil(dIn / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const weights = new Float64Array(dOut * dIn);
  for (let row = 0; row < dOut; row++)
    for (let at = 0; at < numBlocks; at++) {
      const block = row * numBlocks + at;
      const scale = scales[block]!;
      const zeroPoint = zeroPointAt(matrix, row, at);
      const minimum = minimums?.[block] ?? -0; // adding 0 would turn −0 into 0
      const [start, first] = [row * dIn + at * blockSize, block * blockBytes];
      const count = Math.min(blockSize, dIn - at * blockSize);
      for (let i = 0; i < count; i++) {
        const level = bits === 8 ? packed[first + i]! : (packed[first + (i >> 1)]! >> (i & 1 ? 4 : 0)) & 15;
        weights[start + i] = (level - zeroPoint) * scale + minimum;
      }
    }
  return weights;
}

/** A part of a matrix as stored in a file. */
export type MatrixPart = "packed" | "scales" | "zeroPoints" | "minimums";

/** The parts that a layout has. */
export function partsOf({ hasZeroPoints, hasMinimums }: QuantizedLayout): readonly MatrixPart[] {
  return [
    "packed",
    "scales",
    ...(hasZeroPoints ? ["zeroPoints" as const] : []),
    ...(hasMinimums ? ["minimums" as const] : []),
  ];
}

/** A part as a tensor, scales and minimums in the layout's type. */
export function partTensor(matrix: QuantizedMatrix, part: MatrixPart): HostTensor {
  const { layout, dOut, dIn } = matrix;
  const shapes = partShapes(dOut, dIn, layout);
  const data = matrix[part];
  if (!data) throw new Error(`internal: a quantised matrix without ${part}`);
  const shape = part === "minimums" ? shapes.scales : shapes[part];
  if (data instanceof Uint8Array) return { dtype: "uint8", shape, data };
  if (layout.scaleType === "float32") return { dtype: "float32", shape, data };
  return { dtype: "float16", shape, data: float32ToFloat16(data) };
}

/** Numbers that float16 represents with all 11 digits. */
const LEAST_NORMAL_HALF = 2 ** -14;
/** Factor that splits a number: the sums of its product have the upper 11 of float32's 24 digits. */
const SPLITTER = 2 ** 13 + 1;

/**
 * The nearest number of the layout's type. It allocates no memory, because it is called for every candidate of every
 * block.
 */
export function roundedTo(type: QuantizedLayout["scaleType"], value: number): number {
  const single = Math.fround(value);
  if (type === "float32") return single;
  if (Math.abs(single) < LEAST_NORMAL_HALF) return Math.round(single * 2 ** 24) / 2 ** 24;
  const product = Math.fround(single * SPLITTER);
  return Math.fround(product - Math.fround(product - single));
}
