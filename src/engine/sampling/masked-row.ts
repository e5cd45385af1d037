/**
 * A row of logits in which only the ids that a grammar allows are left. It takes the place of the model's own row, so sampling and
 * log-probabilities are those of the masked distribution, as in vLLM.
 */
import { AppError } from "../../errors.ts";
import type { TokenMask } from "../contracts.ts";
import { maximumOf } from "./blocks.ts";
import type { WholeRow } from "./logit-rows.ts";
// Indices are bounded by their loops, hence `!`.

/** Work space for one masked row. */
export interface MaskedRoom {
  readonly logits: Float32Array; // [V]
  readonly maxima: Float32Array; // [V], for blocks of any size
}

/**
 * @param endIds ids that end the answer: allowed where it may end, and only there
 * @param row not written to
 * @returns a row in `room`, valid until the next one
 * @throws {AppError} invalid_request where no id is left; internal_error for a logit that is NaN or infinite
 */
export function maskedRow(row: WholeRow, mask: TokenMask, endIds: readonly number[], room: MaskedRoom): WholeRow {
  const { logits: from, blockSize } = row;
  const logits = room.logits.subarray(0, from.length).fill(-Infinity);
  const maxima = room.maxima.subarray(0, Math.ceil(from.length / blockSize)).fill(-Infinity);
  const { words } = mask;
  for (let word = 0; word < words.length; word++) {
    let bits = words[word]!;
    if (bits === -1 && word * 32 + 32 <= from.length) {
      logits.set(from.subarray(word * 32, word * 32 + 32), word * 32);
      continue;
    }
    while (bits !== 0) {
      const id = word * 32 + 31 - Math.clz32(bits & -bits);
      bits &= bits - 1;
      if (id < from.length) logits[id] = from[id]!;
    }
  }
  for (const id of endIds) logits[id] = mask.mayEnd ? from[id]! : -Infinity;
  for (let block = 0; block < maxima.length; block++) maxima[block] = maximumOf(logits, block, blockSize);
  if (!maxima.some((max) => max > -Infinity))
    throw new AppError(
      "invalid_request",
      "No token of this model can continue the answer as the grammar demands. Use another grammar or model.",
    );
  return { kind: "whole", logits, maxima, blockSize };
}
