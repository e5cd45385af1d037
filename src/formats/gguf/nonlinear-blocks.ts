/**
 * Blocks whose 4-bit numbers select one of sixteen unevenly spaced levels.
 * IQ4_NL has one scale for 32 values. IQ4_XS has a scale for 256 values and
 * a 6-bit factor for every 32. Source: ggml, block_iq4_nl and block_iq4_xs.
 */
// Indices are bounded by the loops over whole blocks, hence `!`.
import { float16Values } from "../../tensor/float16.ts";
import { bits16 } from "./plain-blocks.ts";

const LEVELS = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** 16 bytes from `at` on: 32 values, in the order of all blocks of 32. */
function decodeLevels(bytes: Uint8Array, at: number, scale: number, values: Float32Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + i]!;
    values[to + i] = scale * LEVELS[pair & 15]!;
    values[to + 16 + i] = scale * LEVELS[pair >> 4]!;
  }
}

export function decodeIq4Nl(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 18, to += 32)
    decodeLevels(bytes, at + 2, half[bits16(bytes, at)]!, values, to);
}

export function decodeIq4Xs(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 136, to += 256) {
    const d = half[bits16(bytes, at)]!;
    const high = bytes[at + 2]! | (bytes[at + 3]! << 8);
    for (let part = 0; part < 8; part++) {
      const low = (bytes[at + 4 + (part >> 1)]! >> (4 * (part & 1))) & 15;
      const scale = Math.fround(d * ((low | (((high >> (2 * part)) & 3) << 4)) - 32));
      decodeLevels(bytes, at + 8 + 16 * part, scale, values, to + 32 * part);
    }
  }
}
