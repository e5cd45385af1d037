/**
 * A Bloom filter of names: a router asks it which server has an adapter ready. A yes may be wrong, about once in 100
 * times. A no is always right. Pure. Source: B. Bloom, "Space/time trade-offs in hash coding", 1970; double hashing as
 * in Kirsch and Mitzenmacher, 2006. docs/reference/residency.md has the steps for routers.
 */
import { createHash } from "node:crypto";

/**
 * With about ten bits a name and seven hashes, one wrong yes in 120 is expected. The number of bits is a power of two.
 */
const BITS_A_NAME = 10;
const NUM_HASHES = 7;
const MIN_BITS = 1024;

export interface ResidencyFilter {
  /** Number of bits, a power of two. */
  readonly bits: number;
  readonly hashes: number;
  /** Bit i is the bit i mod 8 of the byte i div 8. Bit 0 of a byte is its lowest. */
  readonly data: Uint8Array;
}

export function filterOf(names: readonly string[]): ResidencyFilter {
  const bits = 2 ** Math.ceil(Math.log2(Math.max(MIN_BITS, names.length * BITS_A_NAME)));
  const data = new Uint8Array(bits / 8);
  for (const name of names)
    for (const bit of bitsOf(name, bits)) data[bit >> 3] = (data[bit >> 3] ?? 0) | (1 << (bit & 7));
  return { bits, hashes: NUM_HASHES, data };
}

/**
 * The bits of a name: (a + i·b) mod bits, where a and b are the first two 32-bit numbers, lowest byte first, of its
 * SHA-256.
 */
function bitsOf(name: string, bits: number): number[] {
  const hash = createHash("sha256").update(name).digest();
  const [a, b] = [BigInt(hash.readUInt32LE(0)), BigInt(hash.readUInt32LE(4) | 1) & 0xffffffffn];
  return Array.from({ length: NUM_HASHES }, (_, i) => Number((a + BigInt(i) * b) % BigInt(bits)));
}
