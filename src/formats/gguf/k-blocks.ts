/**
 * "K" blocks: 256 values with one binary16 scale, and in some types a second one for the minimums.
 * Every 16 or 32 of the values have a small factor for either scale. Source: ggml,
 * block_q2_K … block_q6_K; products are rounded to float32 one by one, as in ggml.
 */
// Indices are bounded by the loops over whole blocks, hence `!`.
import { float16Values } from "../../tensor/float16.ts";
import { bits16 } from "./plain-blocks.ts";

const { fround } = Math;

export function decodeQ2K(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 84, to += 256) {
    const d = half[bits16(bytes, at + 80)]!;
    const dMin = half[bits16(bytes, at + 82)]!;
    for (let group = 0; group < 16; group++) {
      const factors = bytes[at + group]!;
      const scale = fround(d * (factors & 15));
      const minimum = fround(dMin * (factors >> 4));
      // Two halves of 128 values; in each, 32 bytes hold four runs of 32 values, two bits each.
      const from = at + 16 + 32 * (group >> 3) + 16 * (group & 1);
      const shift = 2 * ((group >> 1) & 3);
      for (let i = 0; i < 16; i++)
        values[to + 16 * group + i] = fround(scale * ((bytes[from + i]! >> shift) & 3)) - minimum;
    }
  }
}

export function decodeQ3K(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 110, to += 256) {
    const d = half[bits16(bytes, at + 108)]!;
    for (let group = 0; group < 16; group++) {
      const low = group < 8 ? bytes[at + 96 + group]! & 15 : bytes[at + 88 + group]! >> 4;
      const high = (bytes[at + 104 + (group & 3)]! >> (2 * (group >> 2))) & 3;
      const scale = fround(d * ((low | (high << 4)) - 32));
      const offset = 16 * (group & 1);
      const from = at + 32 + 32 * (group >> 3) + offset;
      const shift = 2 * ((group >> 1) & 3);
      const bit = group >> 1; // of the third bits, which lie in the first 32 bytes
      for (let i = 0; i < 16; i++) {
        const third = (bytes[at + offset + i]! >> bit) & 1;
        values[to + 16 * group + i] = scale * (((bytes[from + i]! >> shift) & 3) - (third ? 0 : 4));
      }
    }
  }
}

/** The 6-bit factors of the eight runs of a Q4_K or Q5_K block, scales first; twelve bytes from `at` on. */
export function readFactors(bytes: Uint8Array, at: number, factors: Uint8Array): void {
  for (let run = 0; run < 4; run++) {
    const [scale, minimum, rest] = [bytes[at + run]!, bytes[at + 4 + run]!, bytes[at + 8 + run]!];
    factors[run] = scale & 63;
    factors[8 + run] = minimum & 63;
    factors[4 + run] = (rest & 15) | ((scale >> 6) << 4);
    factors[12 + run] = (rest >> 4) | ((minimum >> 6) << 4);
  }
}

export function decodeQ4K(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  const factors = new Uint8Array(16);
  for (let at = 0, to = start; at < bytes.length; at += 144, to += 256) {
    const d = half[bits16(bytes, at)]!;
    const dMin = half[bits16(bytes, at + 2)]!;
    readFactors(bytes, at + 4, factors);
    for (let run = 0; run < 8; run++) {
      const scale = fround(d * factors[run]!);
      const minimum = fround(dMin * factors[8 + run]!);
      const from = at + 16 + 32 * (run >> 1);
      const shift = 4 * (run & 1);
      for (let i = 0; i < 32; i++)
        values[to + 32 * run + i] = fround(scale * ((bytes[from + i]! >> shift) & 15)) - minimum;
    }
  }
}

export function decodeQ5K(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  const factors = new Uint8Array(16);
  for (let at = 0, to = start; at < bytes.length; at += 176, to += 256) {
    const d = half[bits16(bytes, at)]!;
    const dMin = half[bits16(bytes, at + 2)]!;
    readFactors(bytes, at + 4, factors);
    for (let run = 0; run < 8; run++) {
      const scale = fround(d * factors[run]!);
      const minimum = fround(dMin * factors[8 + run]!);
      const from = at + 48 + 32 * (run >> 1);
      const shift = 4 * (run & 1);
      for (let i = 0; i < 32; i++) {
        const level = ((bytes[from + i]! >> shift) & 15) | (((bytes[at + 16 + i]! >> run) & 1) << 4);
        values[to + 32 * run + i] = fround(scale * level) - minimum;
      }
    }
  }
}

export function decodeQ6K(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 210, to += 256) {
    const d = half[bits16(bytes, at + 208)]!;
    for (let group = 0; group < 16; group++) {
      const scale = fround(d * ((bytes[at + 192 + group]! << 24) >> 24));
      // Two halves of 128 values: four runs of 32, of which the first two lie in the low halves of 64 bytes.
      const side = group >> 3;
      const run = (group >> 1) & 3;
      const offset = 16 * (group & 1);
      const low = at + 64 * side + 32 * (run & 1) + offset;
      const high = at + 128 + 32 * side + offset;
      const lowShift = 4 * (run >> 1);
      for (let i = 0; i < 16; i++) {
        const level = ((bytes[low + i]! >> lowShift) & 15) | (((bytes[high + i]! >> (2 * run)) & 3) << 4);
        values[to + 16 * group + i] = scale * (level - 32);
      }
    }
  }
}
