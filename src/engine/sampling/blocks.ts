/**
 * A row of logits in blocks, each with its greatest logit. The best few of a vocabulary are then found by searching a
 * few blocks. Knows nothing of tokens, temperatures or the origin of the maxima.
 */
import { AppError } from "../../errors.ts";
import type { WholeRow } from "./logit-rows.ts";
import { selectTop } from "./select.ts";
// Indices are bounded by their loops, hence `!`.

/** Block size where the caller does not give one. */
export const BLOCK_SIZE = 128;

export interface Blocks {
  readonly logits: Float32Array;
  readonly maxima: Float32Array;
  readonly blockSize: number;
}

/**
 * A row with its blocks' maxima. Unknown maxima are computed into `scratch`.
 * @throws {AppError} internal_error where a logit is NaN or infinity (minus infinity is a token that cannot be chosen).
 */
export function blocksOf({ logits, maxima, blockSize }: WholeRow, scratch: Float32Array): Blocks {
  if (maxima) return { logits, maxima, blockSize };
  const numBlocks = Math.ceil(logits.length / blockSize);
  for (let block = 0; block < numBlocks; block++) scratch[block] = maximumOf(logits, block, blockSize);
  return { logits, maxima: scratch.subarray(0, numBlocks), blockSize };
}

/** The greatest logit of a block. @throws {AppError} internal_error where one is NaN or infinity. */
export function maximumOf(logits: Float32Array, block: number, blockSize: number): number {
  const end = Math.min((block + 1) * blockSize, logits.length);
  let max = -Infinity;
  for (let i = block * blockSize; i < end; i++) {
    const value = logits[i]!;
    if (value <= max) continue; // false for NaN too
    if (!(value < Infinity)) throw new AppError("internal_error", `internal: the model gave a logit of ${value}`);
    max = value;
  }
  return max;
}

/** Index of the first greatest logit. @throws {AppError} internal_error where all are minus infinity. */
export function bestOf({ logits, maxima, blockSize }: Blocks): number {
  let max = -Infinity;
  let best = -1;
  for (let block = 0; block < maxima.length; block++) {
    if (maxima[block]! <= max) continue;
    max = maxima[block]!;
    best = block;
  }
  if (best < 0) throw new AppError("internal_error", "internal: every token is masked, none can be chosen");
  return logits.indexOf(max, best * blockSize);
}

/**
 * Writes the ids of the `count` greatest logits to `ids`, in no particular order, and returns their number.
 * @param ids room for as many entries as there are logits @param heap room for `count` entries
 */
export function topOf({ logits, maxima, blockSize }: Blocks, count: number, ids: Int32Array, heap: Int32Array): number {
  if (count >= maxima.length) return selectTop(logits, count, ids);
  // The count-th greatest maximum is itself a logit, as are the greater maxima. No logit below it is needed.
  selectTop(maxima, count, heap);
  const bar = maxima[heap[0]!]!;
  let numFound = 0;
  for (let block = 0; block < maxima.length; block++) {
    if (maxima[block]! < bar) continue;
    const end = Math.min((block + 1) * blockSize, logits.length);
    for (let i = block * blockSize; i < end; i++) if (logits[i]! >= bar) ids[numFound++] = i;
  }
  if (numFound <= count) return numFound;
  const found = Float32Array.from({ length: numFound }, (_, i) => logits[ids[i]!]!);
  const size = selectTop(found, count, heap); // ids ascend, so ties go to the lower id here too
  heap.subarray(0, size).sort();
  for (let i = 0; i < size; i++) ids[i] = ids[heap[i]!]!; // never overtakes the block still to be read
  return size;
}

/** Sorts ids by logit, best first, lower id first among equals. */
export function sortByLogit(logits: Float32Array, ids: Int32Array): Int32Array {
  return ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
}
