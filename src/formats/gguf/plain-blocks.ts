/**
 * Blocks of 32 values with one scale: value = d·(q − z), or d·q + m where the block has a minimum. Two 4-bit numbers
 * share a byte: value i lies in the low half of byte i, value i + 16 in the high half. Source: ggml, block_q4_0 …
 * block_q8_0.
 */
// Indices are bounded by the loops over whole blocks, hence `!`.
import { float16Values } from "../../tensor/float16.ts";

const { fround } = Math;

/** The two bytes at `at` as binary16 bits. */
export const bits16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);

export function decodeQ40(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 18, to += 32) {
    const d = half[bits16(bytes, at)]!;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!;
      values[to + i] = d * ((pair & 15) - 8);
      values[to + 16 + i] = d * ((pair >> 4) - 8);
    }
  }
}

export function decodeQ41(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 20, to += 32) {
    const d = half[bits16(bytes, at)]!;
    const m = half[bits16(bytes, at + 2)]!;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i]!;
      values[to + i] = fround(d * (pair & 15)) + m;
      values[to + 16 + i] = fround(d * (pair >> 4)) + m;
    }
  }
}

/** The fifth bits of 32 values. Bit i is that of value i. */
const bits32 = (bytes: Uint8Array, at: number): number => bits16(bytes, at) | (bits16(bytes, at + 2) << 16);

export function decodeQ50(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 22, to += 32) {
    const d = half[bits16(bytes, at)]!;
    const fifth = bits32(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 6 + i]!;
      values[to + i] = d * (((pair & 15) | (((fifth >>> i) & 1) << 4)) - 16);
      values[to + 16 + i] = d * (((pair >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) - 16);
    }
  }
}

export function decodeQ51(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 24, to += 32) {
    const d = half[bits16(bytes, at)]!;
    const m = half[bits16(bytes, at + 2)]!;
    const fifth = bits32(bytes, at + 4);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + i]!;
      values[to + i] = fround(d * ((pair & 15) | (((fifth >>> i) & 1) << 4))) + m;
      values[to + 16 + i] = fround(d * ((pair >> 4) | (((fifth >>> (i + 16)) & 1) << 4))) + m;
    }
  }
}

export function decodeQ80(bytes: Uint8Array, values: Float32Array, start: number): void {
  const half = float16Values();
  for (let at = 0, to = start; at < bytes.length; at += 34, to += 32) {
    const d = half[bits16(bytes, at)]!;
    for (let i = 0; i < 32; i++) values[to + i] = d * ((bytes[at + 2 + i]! << 24) >> 24);
  }
}
