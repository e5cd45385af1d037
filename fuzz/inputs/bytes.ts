/** Faults of binary files: cut, flipped, spliced, with numbers at the borders of their types. */
import type { Random } from "./random.ts";

const NUMBERS = [0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn];
const WIDE = [...NUMBERS, 1n << 40n, (1n << 53n) - 1n, 1n << 62n, (1n << 63n) - 1n, (1n << 64n) - 1n];

type Fault = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

const FAULTS: readonly Fault[] = [
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  (bytes, random) => withByte(bytes, random.below(bytes.length), (byte) => byte ^ (1 << random.below(8))),
  (bytes, random) => withByte(bytes, random.below(bytes.length), () => random.below(256)),
  (bytes, random) => withNumber(bytes, random),
  (bytes, random) => joined(...removed(bytes, random)),
  (bytes, random, other) => {
    const [from, length] = [random.below(other.length), random.few(64)];
    const at = random.below(bytes.length + 1);
    return joined(bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const filling = new Uint8Array(random.few(random.once(50) ? 20_000 : 16)).fill(random.below(256));
    return joined(bytes.subarray(0, at), filling, bytes.subarray(at));
  },
];

/** `bytes` with one to four faults. @param other where pieces come from */
export function damagedBytes(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let damaged: Uint8Array = Uint8Array.from(bytes); // the slice of a Buffer would be the same memory
  for (let i = random.few(4); i > 0; i--) damaged = random.one(FAULTS)(damaged, random, other);
  return damaged;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function removed(bytes: Uint8Array, random: Random): [Uint8Array, Uint8Array] {
  const from = random.below(bytes.length);
  return [bytes.subarray(0, from), bytes.subarray(from + random.few(64))];
}

function withByte(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  if (at < changed.length) changed[at] = change(changed[at] ?? 0);
  return changed;
}

function withNumber(bytes: Uint8Array, random: Random): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const width = random.one([1, 2, 4, 8]);
  if (changed.length < width) return changed;
  const at = random.below(changed.length - width + 1);
  const value = random.one(WIDE);
  const isBig = random.once(2);
  for (let i = 0; i < width; i++) changed[at + i] = Number((value >> BigInt(8 * (isBig ? width - 1 - i : i))) & 0xffn);
  return changed;
}
