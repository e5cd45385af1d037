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
 * @param endIds ids that end the answer; they are allowed only where the answer may end
 * @param row not written to
 * @returns a row in `room`, valid until the next one
 * @throws {AppError} invalid_request where no id is left; internal_error for a logit that is NaN or infinite
 */
export function maskedRow(row: WholeRow, mask: TokenMask, endIds: readonly number[], room: MaskedRoom): WholeRow {
  const { logits: from, blockSize } = row;
  const logits = room.logits.subarray(0, from.length).fill(-Infinity);
  const maxima = room.maxima.subarray(0, Math.ceil(from.length / blockSize));
  for (let block = 0; block < maxima.length; block++)
    maxima[block] = copyAllowed(
      from,
      mask.words,
      logits,
      block * blockSize,
      Math.min((block + 1) * blockSize, from.length),
    );
  for (const id of endIds) {
    logits[id] = mask.mayEnd ? from[id]! : -Infinity;
    const block = Math.floor(id / blockSize);
    maxima[block] = maximumOf(logits, block, blockSize);
  }
  if (!maxima.some((max) => max > -Infinity))
    throw new AppError(
      "invalid_request",
      "No token of this model can continue the answer as the grammar requires. Use another grammar or model.",
    );
  return { kind: "whole", logits, maxima, blockSize };
}

/**
 * Copies the allowed logits of a part of the row over minus infinity. It runs for every row and token, so it also finds
 * the greatest logit in the same pass.
 * @returns the greatest
 */
function copyAllowed(from: Float32Array, words: Int32Array, to: Float32Array, first: number, end: number): number {
  let max = -Infinity;
  for (let id = first; id < end;) {
    let bits = words[id >> 5]! >>> (id & 31);
    const last = Math.min(end, (id | 31) + 1);
    if (bits === 0xffff_ffff) {
      for (; id < last; id++) {
        const value = from[id]!;
        to[id] = value;
        if (value > max) max = value; // false for NaN too
      }
      continue;
    }
    for (; bits !== 0 && id < last; id++, bits >>>= 1) {
      if ((bits & 1) === 0) continue;
      const value = from[id]!;
      to[id] = value;
      if (value > max) max = value;
    }
    id = last;
  }
  if (max === Infinity) throw new AppError("internal_error", `internal: the model gave a logit of ${max}`);
  return max;
}
