/**
 * Blocks of 32 whose numbers can be kept: levels, scales and minimums are separated without decoding them.
 * Levels are unsigned and in the order of the values. The first of two levels in a byte is in the low half.
 * Source: ggml, block_q4_0, block_q4_1, block_q8_0 and block_q4_K.
 */
// Indices are bounded by the loops over whole blocks, hence `!`.
import { float16Values } from "../../tensor/float16.ts";
import { readFactors } from "./k-blocks.ts";
import { bits16 } from "./plain-blocks.ts";

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

/** @param bytes whole blocks in sequence */
export function keptBlocks(type: KeptType, bytes: Uint8Array): KeptBlocks {
  if (type === "Q4_K") return keptKBlocks(bytes);
  const half = float16Values();
  const blockBytes = BLOCK_BYTES[type];
  const numBlocks = bytes.length / blockBytes;
  const packed = new Uint8Array(numBlocks * (type === "Q8_0" ? 32 : 16));
  const scales = new Float32Array(numBlocks);
  const minimums = type === "Q4_1" ? new Float32Array(numBlocks) : null;
  for (let block = 0; block < numBlocks; block++) {
    const at = block * blockBytes;
    scales[block] = half[bits16(bytes, at)]!;
    if (minimums) minimums[block] = half[bits16(bytes, at + 2)]!;
    const levels = at + (minimums ? 4 : 2);
    if (type === "Q8_0") for (let i = 0; i < 32; i++) packed[32 * block + i] = bytes[levels + i]! ^ 0x80;
    else {
      // Values i and i + 16 share a byte.
      packLevels(bytes, levels, 0, packed, 16 * block, 8);
      packLevels(bytes, levels, 4, packed, 16 * block + 8, 8);
    }
  }
  return { packed, scales, minimums };
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
    const scale = half[bits16(bytes, at)]!;
    const minimum = half[bits16(bytes, at + 2)]!;
    readFactors(bytes, at + 4, factors);
    for (let i = 0; i < 8; i++, run++) {
      scales[run] = scale * factors[i]!;
      minimums[run] = -minimum * factors[8 + i]!;
      // Two runs share 32 bytes.
      packLevels(bytes, at + 16 + 32 * (i >> 1), 4 * (i & 1), packed, 16 * run, 16);
    }
  }
  return { packed, scales, minimums };
}

/**
 * Packs levels, two neighbours a byte.
 * @param shift 0: the levels in the low halves of the bytes from `from` on, 4: those in the high halves
 * @param numPacked bytes to write, half as many as are read
 */
function packLevels(
  bytes: Uint8Array,
  from: number,
  shift: number,
  packed: Uint8Array,
  to: number,
  numPacked: number,
): void {
  for (let i = 0; i < numPacked; i++) {
    const [first, second] = [bytes[from + 2 * i]!, bytes[from + 2 * i + 1]!];
    packed[to + i] = ((first >> shift) & 15) | (((second >> shift) & 15) << 4);
  }
}
