/**
 * Bias, penalties and masks on a row. They touch few logits, so these are changed in place, their blocks' maxima with them, and put back
 * afterwards: nothing is copied but the maxima.
 */
import { type Blocks, maximumOf } from "./blocks.ts";
import type { SamplingState } from "./sampling-state.ts";
// Indices are bounded by their loops, hence `!`.

/** Whether a row is sampled from as the model gave it. */
export function isUntouched({ seenIds, outputCounts, params }: SamplingState, maskedIds: readonly number[]): boolean {
  return seenIds === null && outputCounts === null && maskedIds.length === 0 && params.logitBias.length === 0;
}

/** Gives `use` the row as it is sampled from; the row is itself again afterwards. @param maxima room for the blocks' */
export function withTouched<T>(
  blocks: Blocks,
  state: SamplingState,
  maskedIds: readonly number[],
  maxima: Float32Array,
  use: (blocks: Blocks) => T,
): T {
  if (isUntouched(state, maskedIds)) return use(blocks);
  const ids: number[] = [];
  const before: number[] = [];
  const change = (id: number, value: number): void => {
    ids.push(id);
    before.push(blocks.logits[id]!);
    blocks.logits[id] = value;
  };
  try {
    touch(blocks.logits, state, maskedIds, change);
    return use({ ...blocks, maxima: maximaAfter(blocks, ids, maxima) });
  } finally {
    for (let i = ids.length - 1; i >= 0; i--) blocks.logits[ids[i]!] = before[i]!;
  }
}

/** In vLLM's order: masks and bias, then the repetition penalty, then frequency and presence. */
function touch(
  row: Float32Array,
  { params, seenIds, outputCounts }: SamplingState,
  maskedIds: readonly number[],
  change: (id: number, value: number) => void,
): void {
  for (const id of maskedIds) change(id, -Infinity);
  for (const [id, bias] of params.logitBias) change(id, row[id]! + bias);
  for (const id of seenIds ?? []) {
    const value = row[id]!;
    change(id, value > 0 ? value / params.repetitionPenalty : value * params.repetitionPenalty);
  }
  for (const [id, count] of outputCounts ?? [])
    change(id, row[id]! - params.frequencyPenalty * count - params.presencePenalty);
}

function maximaAfter({ logits, maxima, blockSize }: Blocks, ids: readonly number[], room: Float32Array): Float32Array {
  const after = room.subarray(0, maxima.length);
  if (after.buffer !== maxima.buffer) after.set(maxima);
  for (const block of new Set(ids.map((id) => Math.floor(id / blockSize))))
    after[block] = maximumOf(logits, block, blockSize);
  return after;
}
