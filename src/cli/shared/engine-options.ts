/** Options of an engine that every command takes from the same flags, and the tokens that end its answers. */
import { availableParallelism, freemem } from "node:os";
import type { Base } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import type { EngineOptions } from "../../engine/protocol.ts";
import { loadEndTokens } from "../../tokenizer/files/end-tokens.ts";
import { directoryTexts } from "../../tokenizer/files/text-source.ts";

type EngineFlags = Pick<ConfigOf<"eval">, "device" | "threads" | "maxNumSeqs" | "maxModelLen" | "kvCacheBytes">;

type SharedOptions = Pick<
  EngineOptions,
  "baseDir" | "storeDir" | "device" | "numThreads" | "maxNumSeqs" | "maxModelLen" | "kvCacheBytes" | "takesAdapters"
>;

/** The options that `serve` and `eval` read from the same flags, with the same defaults. */
export function sharedEngineOptions(flags: EngineFlags, baseDir: string, storeDir: string): SharedOptions {
  return {
    baseDir,
    storeDir,
    device: flags.device,
    numThreads: flags.threads ?? availableParallelism(),
    maxNumSeqs: flags.maxNumSeqs,
    maxModelLen: flags.maxModelLen,
    kvCacheBytes: flags.kvCacheBytes ?? Math.floor(freemem() / 4),
    takesAdapters: true,
  };
}

/** Ids of the tokens that end an answer of this base: those of its manifest, and those of its text files as they are now. */
export async function servedEndIds({ dir, manifest }: Base): Promise<readonly number[]> {
  const { tokens } = await loadEndTokens(await directoryTexts(dir), dir, manifest.config.vocabSize);
  return [...new Set([...manifest.endTokenIds, ...tokens.map(({ id }) => id)])];
}
