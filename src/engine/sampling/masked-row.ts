/**
 * A row of logits in which only the ids that a grammar allows are left. It takes the place of the model's own row, so
 * sampling and log-probabilities are those of the masked distribution, as in vLLM.
 */
import { AppError } from "../../errors.ts";
import type { TokenMask } from "../contracts.ts";
import { type Blocks, blocksOf, maximumOf } from "./blocks.ts";
import type { WholeRow } from "./logit-rows.ts";
// Indices are bounded by their loops, hence `!`.

/** Work space for one masked row. */
export interface MaskedRoom {
  readonly logits: Float32Array; // [V]
  readonly maxima: Float32Array; // [V], for blocks of any size
}

/**
 * @param endIds ids that end the answer; they are allowed only where the answer may end
 * @param row not written to
 * @returns a row in `room`, valid until the next one
 * @throws {AppError} invalid_request where no id is left; internal_error for a logit that is NaN or infinite
 */
export function maskedRow(row: WholeRow, mask: TokenMask, endIds: readonly number[], room: MaskedRoom): WholeRow {
  const { blockSize } = row;
  const from = blocksOf(row, room.maxima);
  const masked = {
    logits: room.logits.subarray(0, from.logits.length),
    maxima: room.maxima.subarray(0, from.maxima.length),
    blockSize,
  };
  if (2 * countAllowed(mask.words) > masked.logits.length) leaveOut(from, mask.words, masked);
  else copyAllowed(from, mask.words, masked);
  for (const id of endIds) {
    masked.logits[id] = mask.mayEnd ? from.logits[id]! : -Infinity;
    const block = Math.floor(id / blockSize);
    masked.maxima[block] = maximumOf(masked.logits, block, blockSize);
  }
  if (!masked.maxima.some((max) => max > -Infinity))
    throw new AppError(
      "invalid_request",
      "No token of this model can continue the answer as the grammar requires. Use another grammar or model.",
    );
  return { kind: "whole", ...masked };
}

function countAllowed(words: Int32Array): number {
  let count = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    // Sums of neighbouring bits, then of pairs, then of fours; the product adds the four bytes.
    const pairs = word - ((word >>> 1) & 0x5555_5555);
    const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
    count += Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
  }
  return count;
}

/** For a mask that allows most ids: copies the whole row at once, then takes out the other ids. */
function leaveOut(from: Blocks, words: Int32Array, to: Blocks): void {
  const { logits, maxima, blockSize } = to;
  logits.set(from.logits);
  if (maxima.buffer !== from.maxima.buffer || maxima.byteOffset !== from.maxima.byteOffset) maxima.set(from.maxima);
  for (let word = 0; word < words.length; word++)
    for (let bits = ~words[word]!; bits !== 0; bits &= bits - 1) {
      const id = word * 32 + 31 - Math.clz32(bits & -bits);
      if (id >= logits.length) break;
      const block = Math.floor(id / blockSize);
      // The block's greatest logit is left out, so the block is searched below.
      if (logits[id] === maxima[block]) maxima[block] = NaN;
      logits[id] = -Infinity;
    }
  for (let block = 0; block < maxima.length; block++)
    if (Number.isNaN(maxima[block])) maxima[block] = maximumOf(logits, block, blockSize);
}

/** For a mask that allows few ids. */
function copyAllowed(from: Blocks, words: Int32Array, to: Blocks): void {
  const { logits, maxima, blockSize } = to;
  logits.fill(-Infinity);
  maxima.fill(-Infinity);
  for (let word = 0; word < words.length; word++)
    for (let bits = words[word]!; bits !== 0; bits &= bits - 1) {
      const id = word * 32 + 31 - Math.clz32(bits & -bits);
      if (id >= logits.length) break;
      const value = from.logits[id]!;
      logits[id] = value;
      const block = Math.floor(id / blockSize);
      if (value > maxima[block]!) maxima[block] = value;
    }
}
