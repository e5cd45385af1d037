/** Arrays of random values from one stream, for made-up weights, adapters and prompts. */
import { type RandomState, nextNormal, nextUint32 } from "../../src/tensor/random.ts";

/** `count` values of N(0, standardDeviation²). */
export function randomNormals(count: number, standardDeviation: number, random: RandomState): Float32Array {
  return Float32Array.from({ length: count }, () => standardDeviation * nextNormal(random));
}

/** `count` token ids below `vocabSize`. */
export function randomIds(count: number, vocabSize: number, random: RandomState): Int32Array {
  return Int32Array.from({ length: count }, () => nextUint32(random) % vocabSize);
}
