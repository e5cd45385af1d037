/**
 * Blocks of 32 whose numbers can be kept: levels, scales and minimums are separated without decoding them.
 * Levels are unsigned and in the order of the values. The first of two levels in a byte is in the low half.
 * Source: ggml, block_q4_0, block_q4_1 and block_q8_0.
 */
// Indices are bounded by the loops over whole blocks, hence `!`.
import { float16Values } from "../../tensor/float16.ts";

export const KEPT_TYPES = ["Q4_0", "Q4_1", "Q8_0"] as const;
export type KeptType = (typeof KEPT_TYPES)[number];

export interface KeptBlocks {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
  /** null: the weight is (level − half of the levels) · scale. */
  readonly minimums: Float32Array | null;
}

const BLOCK_BYTES = { Q4_0: 18, Q4_1: 20, Q8_0: 34 } as const;

/** @param bytes whole blocks in sequence */
export function keptBlocks(type: KeptType, bytes: Uint8Array): KeptBlocks {
  const half = float16Values();
  const blockBytes = BLOCK_BYTES[type];
  const numBlocks = bytes.length / blockBytes;
  const packed = new Uint8Array(numBlocks * (type === "Q8_0" ? 32 : 16));
  const scales = new Float32Array(numBlocks);
  const minimums = type === "Q4_1" ? new Float32Array(numBlocks) : null;
  const number = (at: number): number => half[bytes[at]! | (bytes[at + 1]! << 8)]!;
  for (let block = 0; block < numBlocks; block++) {
    const at = block * blockBytes;
    scales[block] = number(at);
    if (minimums) minimums[block] = number(at + 2);
    const levels = at + (minimums ? 4 : 2);
    if (type === "Q8_0") for (let i = 0; i < 32; i++) packed[32 * block + i] = bytes[levels + i]! ^ 0x80;
    else packNibbles(bytes, levels, packed, 16 * block);
  }
  return { packed, scales, minimums };
}

/** The file has values i and i + 16 in one byte; our bytes hold neighbours. */
function packNibbles(bytes: Uint8Array, from: number, packed: Uint8Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const [first, second] = [bytes[from + 2 * i]!, bytes[from + 2 * i + 1]!];
    packed[to + i] = (first & 15) | ((second & 15) << 4);
    packed[to + 8 + i] = (first >> 4) | (second & 0xf0);
  }
}
