/** How the load tests open an engine: as `mosara serve` does by default, for 16 rows. */
import { openAdapterStore } from "../src/store/adapter-store.ts";
import type { EngineOptions } from "../src/engine/protocol.ts";
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
