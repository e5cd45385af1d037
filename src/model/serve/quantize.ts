/**
 * Symmetric block quantisation of weight rows, packed as MatMulNBits reads it: per row, blocks of `blockSize` values along
 * the inner dimension, the last one filled with the zero point. Source: ONNX Runtime contrib operators, MatMulNBits.
 */
// Indices are bounded by their loops, hence `!`.
import type { QuantizedFormat } from "../../graph/ops/linear.ts";

type Blocks = Pick<QuantizedFormat, "bits" | "blockSize">;

/** Shapes of the packed values (uint8) and the scales (float32) of a weight [dOut,dIn]. */
export function quantizedShapes(
  dOut: number,
  dIn: number,
  { bits, blockSize }: Blocks,
): { packed: number[]; scales: number[] } {
  const numBlocks = Math.ceil(dIn / blockSize);
  return { packed: [dOut, numBlocks, (blockSize * bits) / 8], scales: [dOut, numBlocks] };
}

/**
 * Quantises the rows of `weight` (float32 [rows,dIn]) into `target`, whose first row to write is `firstRow`.
 * int8: scale = max|w| / 127. int4: the value of greatest magnitude becomes −8, which uses the whole range (as Q4_0 does).
 */
export function quantizeBlocks(
  weight: Float32Array,
  dIn: number,
  format: Blocks,
  target: { readonly packed: Uint8Array; readonly scales: Float32Array },
  firstRow: number,
): void {
  const { bits, blockSize } = format;
  const numBlocks = Math.ceil(dIn / blockSize);
  const bytesPerBlock = (blockSize * bits) / 8;
  const numRows = weight.length / dIn;
  const quantizeBlock = bits === 8 ? quantizeInt8 : quantizeInt4;
  for (let row = 0; row < numRows; row++)
    for (let block = 0; block < numBlocks; block++) {
      const start = row * dIn + block * blockSize;
      const end = Math.min(start + blockSize, (row + 1) * dIn);
      const at = (firstRow + row) * numBlocks + block;
      const bytes = target.packed.subarray(at * bytesPerBlock, (at + 1) * bytesPerBlock);
      target.scales[at] = quantizeBlock(weight, start, end, bytes);
    }
}

/** @returns the scale; values are stored as round(w / scale) + 128 */
function quantizeInt8(weight: Float32Array, start: number, end: number, bytes: Uint8Array): number {
  let greatest = 0;
  for (let i = start; i < end; i++) greatest = Math.max(greatest, Math.abs(weight[i]!));
  const scale = Math.fround(greatest / 127);
  const inverse = scale === 0 ? 0 : 1 / scale;
  bytes.fill(128);
  // A scale that float32 rounds down (the tiniest numbers) would carry the greatest value over the end.
  for (let i = start; i < end; i++)
    bytes[i - start] = Math.min(255, Math.max(0, Math.round(weight[i]! * inverse) + 128));
  return scale;
}

/** @returns the scale; values are stored as min(15, round(w / scale) + 8), two a byte, the first in the low half */
function quantizeInt4(weight: Float32Array, start: number, end: number, bytes: Uint8Array): number {
  let greatest = 0;
  for (let i = start; i < end; i++) if (Math.abs(weight[i]!) > Math.abs(greatest)) greatest = weight[i]!;
  const scale = Math.fround(greatest / -8);
  const inverse = scale === 0 ? 0 : 1 / scale;
  bytes.fill(0x88);
  for (let i = start; i < end; i++) {
    const level = Math.min(15, Math.max(0, Math.round(weight[i]! * inverse) + 8));
    const at = (i - start) >> 1;
    bytes[at] = (i - start) & 1 ? (bytes[at]! & 0x0f) | (level << 4) : (bytes[at]! & 0xf0) | level;
  }
  return scale;
}
