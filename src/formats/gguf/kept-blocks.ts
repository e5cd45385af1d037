/**
 * Blocks of 32 whose numbers can be kept: levels, scales and minimums are separated without decoding them.
 * Levels are unsigned and in the order of the values. The first of two levels in a byte is in the low half.
 * Source: ggml, block_q4_0, block_q4_1, block_q8_0 and block_q4_K.
 */
// Indices are bounded by the loops over whole blocks, hence `!`.
import { float16Values } from "../../tensor/float16.ts";
import { readFactors } from "./k-blocks.ts";

export const KEPT_TYPES = ["Q4_0", "Q4_1", "Q8_0", "Q4_K"] as const;
export type KeptType = (typeof KEPT_TYPES)[number];

/** A weight is level · scale + minimum. */
export interface KeptBlocks {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
  /** null: the weight is (level − half of the levels) · scale. */
  readonly minimums: Float32Array | null;
}

const BLOCK_BYTES = { Q4_0: 18, Q4_1: 20, Q8_0: 34 } as const;
const LEVELS_IN_BYTE = { Q4_0: 2, Q4_1: 2, Q8_0: 1 } as const;

/** @param bytes whole blocks in sequence */
export function keptBlocks(type: KeptType, bytes: Uint8Array): KeptBlocks {
  if (type === "Q4_K") return keptKBlocks(bytes);
  const half = float16Values();
  const blockBytes = BLOCK_BYTES[type];
  const numBlocks = bytes.length / blockBytes;
  const packed = new Uint8Array((numBlocks * 32) / LEVELS_IN_BYTE[type]);
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

/**
 * Q4_K: 256 values in eight runs of 32. A run's scale is a factor of 6 bits times one binary16 number, and so is its
 * minimum. float32 holds both products exactly, and a level times a scale too.
 */
function keptKBlocks(bytes: Uint8Array): KeptBlocks {
  const half = float16Values();
  const numRuns = (bytes.length / 144) * 8;
  const packed = new Uint8Array(numRuns * 16);
  const scales = new Float32Array(numRuns);
  const minimums = new Float32Array(numRuns);
  const factors = new Uint8Array(16);
  for (let at = 0, run = 0; at < bytes.length; at += 144) {
    const scale = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const minimum = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    readFactors(bytes, at + 4, factors);
    for (let i = 0; i < 8; i++, run++) {
      scales[run] = scale * factors[i]!;
      minimums[run] = -minimum * factors[8 + i]!;
      packRun(bytes, at + 16 + 32 * (i >> 1), 4 * (i & 1), packed, 16 * run);
    }
  }
  return { packed, scales, minimums };
}

/** The file has the levels of two runs in 32 bytes, those of the second in the high halves. */
function packRun(bytes: Uint8Array, from: number, shift: number, packed: Uint8Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const [first, second] = [bytes[from + 2 * i]!, bytes[from + 2 * i + 1]!];
    packed[to + i] = ((first >> shift) & 15) | (((second >> shift) & 15) << 4);
  }
}
