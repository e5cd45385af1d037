/**
 * Random streams: xoshiro128**. Every consumer (a sequence, an adapter's initial values) has its own stream. A seed
 * therefore gives the same draws, independent of other consumers. Source: Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators" (2018).
 */
// Indices are 0…3 of a four-word state, hence `!`.

/** Four 32-bit words, not all zero. */
export type RandomState = Uint32Array;

/**
 * The state for an unsigned 32-bit seed: four outputs of a Weyl sequence
 * through murmur3's finaliser. Neighbouring seeds share nothing.
 */
export function seedRandom(seed: number): RandomState {
  const state = new Uint32Array(4);
  for (let i = 0; i < 4; i++) {
    let word = (seed + (i + 1) * 0x9e3779b9) >>> 0;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    state[i] = word ^ (word >>> 16); // a bijection of four different words: at most one of them is 0
  }
  return state;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** The next unsigned 32-bit word. */
export function nextUint32(state: RandomState): number {
  const word = state[1]!;
  const result = Math.imul(rotateLeft(Math.imul(word, 5), 7), 9) >>> 0;
  state[2] = state[2]! ^ state[0]!;
  state[3] = state[3]! ^ state[1]!;
  state[1] = state[1]! ^ state[2]!;
  state[0] = state[0]! ^ state[3]!;
  state[2] = state[2]! ^ (word << 9);
  state[3] = rotateLeft(state[3]!, 11);
  return result;
}

/** Uniform in [0, 1) with 53 bits; uses two words. */
export function nextUniform(state: RandomState): number {
  const high = nextUint32(state) >>> 5;
  const low = nextUint32(state) >>> 6;
  return (high * 0x4000000 + low) / 0x20000000000000;
}

/** Normally distributed, mean 0 and variance 1; uses four words. Source: Box and Muller (1958). */
export function nextNormal(state: RandomState): number {
  const radius = Math.sqrt(-2 * Math.log(1 - nextUniform(state))); // 1 − u is never 0
  return radius * Math.cos(2 * Math.PI * nextUniform(state));
}
