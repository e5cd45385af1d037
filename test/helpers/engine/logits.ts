/** Rows of logits for tests of what reads them. */
import { nextNormal, seedRandom } from "../../../src/tensor/random.ts";

/** float32 [numRows,V] with equal logits here and there: on a grid of 1/16. */
export function logitsOnGrid(numRows: number, vocabSize: number): Float32Array {
  const random = seedRandom(5);
  return Float32Array.from({ length: numRows * vocabSize }, () => Math.round(nextNormal(random) * 48) / 16);
}
