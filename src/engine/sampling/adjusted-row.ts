/**
 * Applies bias, penalties and masks to a row. Most requests change few logits. These are changed in place, with the
 * maxima of their blocks, and restored afterwards, so that only the maxima are copied. If only some ids are allowed,
 * their logits are copied into a masked row.
 */
import { AppError } from "../../errors.ts";
import { type Blocks, maximumOf } from "./blocks.ts";
import type { SamplingState } from "./sampling-state.ts";
// Indices are bounded by their loops, hence `!`.

/** The largest float32. Tiny penalties would lift a logit beyond it, where it could not be compared. */
const LARGEST_LOGIT = 3.4028234663852886e38;

/** Whether a row is sampled exactly as the model produced it. */
export function isUnadjusted(state: SamplingState, maskedIds: readonly number[]): boolean {
  const { seenIds, outputCounts, outputIds, params } = state;
  const isPlain = seenIds === null && outputCounts === null && outputIds === null && params.allowedIds === null;
  return isPlain && maskedIds.length === 0 && params.logitBias.length === 0;
}

/** Work space for an adjusted row. */
export interface AdjustedRoom {
  readonly maxima: Float32Array; // [V], for blocks of any size
  readonly logits: Float32Array; // [V]
}

/**
 * Passes the adjusted row to `use`, and restores the row afterwards.
 * @throws {AppError} invalid_request where the request leaves no token that may be chosen.
 */
export function withAdjusted<T>(
  row: Blocks,
  state: SamplingState,
  maskedIds: readonly number[],
  room: AdjustedRoom,
  use: (blocks: Blocks) => T,
): T {
  if (isUnadjusted(state, maskedIds)) return use(row);
  const { allowedIds } = state.params;
  const blocks = allowedIds === null ? row : allowedRow(row, allowedIds, room.logits);
  const ids: number[] = [];
  const before: number[] = [];
  const change = (id: number, value: number): void => {
    ids.push(id);
    before.push(blocks.logits[id]!);
    blocks.logits[id] = value;
  };
  try {
    adjust(blocks.logits, state, maskedIds, change);
    const maxima = allowedIds === null ? maximaAfter(blocks, ids, room.maxima) : allMaxima(blocks, room.maxima);
    if (!maxima.some((max) => max > -Infinity)) throw nothingLeft();
    return use({ ...blocks, maxima });
  } finally {
    for (let i = ids.length - 1; i >= 0; i--) blocks.logits[ids[i]!] = before[i]!;
  }
}

/** The row with every id masked that is not allowed. The blocks' maxima are still those of the whole row. */
function allowedRow({ logits, maxima, blockSize }: Blocks, allowedIds: Int32Array, room: Float32Array): Blocks {
  const masked = room.subarray(0, logits.length).fill(-Infinity);
  for (const id of allowedIds) masked[id] = logits[id]!;
  return { logits: masked, maxima, blockSize };
}

/** Last ids of bad words whose other ids have just been generated. Source: vLLM's `apply_bad_words`. */
function forbiddenIds({ params, outputIds }: SamplingState): number[] {
  const past = outputIds ?? [];
  return params.badWords.flatMap((word) => {
    const from = past.length - (word.length - 1);
    const isNext = from >= 0 && word.slice(0, -1).every((id, i) => past[from + i] === id);
    return isNext ? word.slice(-1) : [];
  });
}

function nothingLeft(): AppError {
  return new AppError(
    "invalid_request",
    "No token is left to choose: allowed_token_ids, bad_words and min_tokens together exclude all tokens.",
  );
}

/** Adjusts the row in vLLM's order: masks and bias, then the repetition penalty, then frequency and presence. */
function adjust(
  row: Float32Array,
  state: SamplingState,
  maskedIds: readonly number[],
  change: (id: number, value: number) => void,
): void {
  const { params, seenIds, outputCounts } = state;
  for (const id of forbiddenIds(state)) change(id, -Infinity);
  for (const id of maskedIds) change(id, -Infinity);
  for (const [id, bias] of params.logitBias) change(id, row[id]! + bias);
  for (const id of seenIds ?? []) {
    const value = row[id]!;
    change(
      id,
      value > 0 ? Math.min(value / params.repetitionPenalty, LARGEST_LOGIT) : value * params.repetitionPenalty,
    );
  }
  for (const [id, count] of outputCounts ?? [])
    change(id, row[id]! - params.frequencyPenalty * count - params.presencePenalty);
}

function allMaxima({ logits, maxima, blockSize }: Blocks, room: Float32Array): Float32Array {
  const after = room.subarray(0, maxima.length);
  for (let block = 0; block < after.length; block++) after[block] = maximumOf(logits, block, blockSize);
  return after;
}

function maximaAfter({ logits, maxima, blockSize }: Blocks, ids: readonly number[], room: Float32Array): Float32Array {
  const after = room.subarray(0, maxima.length);
  if (after.buffer !== maxima.buffer) after.set(maxima);
  for (const block of new Set(ids.map((id) => Math.floor(id / blockSize))))
    after[block] = maximumOf(logits, block, blockSize);
  return after;
}
