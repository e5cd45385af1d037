/** Logits and greedy answers of a base directory by the serving graph, in this process. */
import { openRunner } from "../../src/engine/process/open-runner.ts";

export interface Logits extends AsyncDisposable {
  readonly vocabSize: number;
  /** Logits [positions, V] of the last `numPositions` positions of a prompt. */
  of(ids: readonly number[], numPositions?: number): Promise<Float32Array>;
  /** The ids that follow a prompt, the best one each time. */
  greedy(ids: readonly number[], count: number): Promise<number[]>;
}

export async function openLogits(baseDir: string, kvCacheDtype: "auto" | "int8" = "auto"): Promise<Logits> {
  const runner = await openRunner({
    baseDir,
    storeDir: "",
    device: "cpu",
    numThreads: 2,
    maxNumSeqs: 1,
    maxModelLen: null,
    kvCacheBytes: 2 ** 28,
    kvCacheDtype,
    adapterCacheBytes: 0,
    maxLiveRank: 0,
    maxQueue: 1,
    maxQueueTokens: 1,
    usesPrefixCache: false,
    maxDraft: 0,
    requiresBatchInvariance: true,
    takesAdapters: false,
  });
  let id = 0;
  return {
    vocabSize: runner.vocabSize,
    of: async (ids, numPositions = ids.length) => {
      runner.kv.admit(++id, ids.length);
      const logitPositions = Array.from({ length: numPositions }, (_, i) => ids.length - numPositions + i);
      const step = { id, past: 0, tokenIds: Int32Array.from(ids), adapter: null, logitPositions };
      const rows = (await (await runner.prefill(step)).all()).slice();
      runner.kv.release(id);
      return rows;
    },
    greedy: async (ids, count) => {
      runner.kv.admit(++id, ids.length + count);
      const first = { id, past: 0, tokenIds: Int32Array.from(ids), adapter: null, logitPositions: [ids.length - 1] };
      let logits = await runner.prefill(first);
      runner.kv.startDecoding(id);
      const out: number[] = [];
      for (;;) {
        const row = await logits.all();
        out.push(row.reduce((at, value, i) => (value > (row[at] ?? 0) ? i : at), 0));
        if (out.length === count) break;
        logits = await runner.decode([{ id, tokenId: out.at(-1)!, past: ids.length + out.length - 1, adapter: null }]); // not empty
      }
      runner.kv.release(id);
      return out;
    },
    [Symbol.asyncDispose]: () => runner.close(),
  };
}
