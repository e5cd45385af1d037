/** The settings with which the load tests open an engine: the defaults of `mosara serve`, for 16 rows. */
import { generationOf } from "../src/adapter/adapter-file.ts";
import type { EngineOptions } from "../src/engine/protocol.ts";
import type { ModelRunner, ReadyAdapter } from "../src/engine/contracts.ts";
import { openAdapterStore } from "../src/store/adapter-store.ts";
import type { BenchOptions } from "./options.ts";

/** @param storeDir of a store that exists, empty or not */
export function engineOptions(baseDir: string, storeDir: string, { numThreads }: BenchOptions): EngineOptions {
  return {
    baseDir,
    storeDir,
    device: "cpu",
    numThreads,
    maxNumSeqs: 16,
    maxModelLen: null,
    kvCacheBytes: 2 ** 30,
    adapterCacheBytes: 2 ** 28,
    maxLiveRank: 64,
    maxQueue: 1024,
    maxQueueTokens: 2 ** 20,
    usesPrefixCache: false,
    maxDraft: 0,
    requiresBatchInvariance: true,
    takesAdapters: true,
  };
}

/** An empty store in `dir`, which an engine can open. */
export async function emptyStore(dir: string): Promise<string> {
  const store = await openAdapterStore(dir);
  await store.close();
  return dir;
}

/**
 * The adapters of these files, ready: a thread of the runner's makes them so, and says when; whoever asks before gets
 * none.
 */
export async function readyAdapters(
  { adapters }: ModelRunner,
  files: readonly Uint8Array[],
): Promise<readonly ReadyAdapter[]> {
  if (adapters === null) throw new Error("internal: a runner without adapters");
  const ready: ReadyAdapter[] = [];
  for (const inlineBytes of files) {
    const ref = { generation: generationOf(inlineBytes), inlineBytes };
    let found = adapters.get(ref);
    while (found === null) {
      await new Promise<void>((resolve) => adapters.onReady(resolve));
      found = adapters.get(ref);
    }
    ready.push(found);
  }
  return ready;
}
