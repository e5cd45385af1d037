/** Options of an engine that every command takes from the same flags. */
import { availableParallelism, freemem } from "node:os";
import type { ConfigOf } from "../../config/commands.ts";
import type { EngineOptions } from "../../engine/protocol.ts";

/** The flags that these options are read from. A command without a choice of the cache's type has auto. */
export type EngineFlags = Pick<ConfigOf<"eval">, "device" | "threads" | "maxNumSeqs" | "maxModelLen" | "kvCacheBytes"> &
  Partial<Pick<ConfigOf<"eval">, "kvCacheDtype">>;

type SharedOptions = Pick<
  EngineOptions,
  | "baseDir"
  | "storeDir"
  | "device"
  | "numThreads"
  | "maxNumSeqs"
  | "maxModelLen"
  | "kvCacheBytes"
  | "kvCacheDtype"
  | "takesAdapters"
>;

/** Threads of an engine. */
export function numThreadsOf({ threads }: Pick<EngineFlags, "threads">): number {
  return threads ?? availableParallelism();
}

/** The options that `serve` and `eval` read from the same flags, with the same defaults. */
export function sharedEngineOptions(flags: EngineFlags, baseDir: string, storeDir: string): SharedOptions {
  return {
    baseDir,
    storeDir,
    device: flags.device,
    numThreads: numThreadsOf(flags),
    maxNumSeqs: flags.maxNumSeqs,
    maxModelLen: flags.maxModelLen,
    kvCacheBytes: flags.kvCacheBytes ?? Math.floor(freemem() / 4),
    kvCacheDtype: flags.kvCacheDtype ?? "auto",
    takesAdapters: true,
  };
}
