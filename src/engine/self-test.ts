/**
 * The law of isolation, checked on the real graph of this machine: a sequence gives the same bits alone and beside others.
 * Kernels choose their path by the number of rows, and another CPU may choose otherwise.
 */
import type { ModelRunner } from "./runner.ts";

/** Batch sizes that took different kernels somewhere (measured), within the engine's own limit. */
const BATCH_SIZES = [2, 3, 5, 8, 16, 17];
const PROMPT_TOKENS = 5;

/** Whether one decode step gives the first sequence the same logits in batches of every size tried. Leaves no row in use. */
export async function isBatchInvariant(runner: ModelRunner, maxNumSeqs: number): Promise<boolean> {
  const sizes = [...new Set([...BATCH_SIZES.filter((size) => size <= maxNumSeqs), maxNumSeqs])];
  const admitted: number[] = [];
  try {
    let alone: Float32Array | null = null;
    for (const size of [1, ...sizes]) {
      while (admitted.length < size && runner.kv.canAdmit(PROMPT_TOKENS + 1))
        admitted.push(await admitOne(runner, admitted.length));
      if (admitted.length < size) break;
      const rows = admitted.map((id) => ({
        id,
        tokenId: tokenOf(id, PROMPT_TOKENS, runner),
        past: PROMPT_TOKENS,
        adapter: null,
      }));
      const logits = (await runner.decode(rows)).slice(0, runner.vocabSize);
      if (alone && !alone.every((value, i) => Object.is(value, logits[i]))) return false;
      alone ??= logits;
    }
    return true;
  } finally {
    for (const id of admitted) runner.kv.release(id);
  }
}

async function admitOne(runner: ModelRunner, index: number): Promise<number> {
  // Negative ids: no sequence of the server has one.
  const id = -1 - index;
  runner.kv.admit(id, PROMPT_TOKENS + 1);
  const tokenIds = Int32Array.from({ length: PROMPT_TOKENS }, (_, i) => tokenOf(id, i, runner));
  await runner.prefill({ id, past: 0, tokenIds, adapter: null, logitPositions: [] });
  runner.kv.startDecoding(id);
  return id;
}

function tokenOf(id: number, position: number, runner: ModelRunner): number {
  return (position * 31 - id * 17) % runner.vocabSize;
}
