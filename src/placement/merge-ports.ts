/**
 * The supervisor's ports for serving an adapter merged: making a base directory with the adapter in its weights, and
 * measuring how far its answers are from the live ones. The directories lie beside the store. They are removed when no
 * engine serves them.
 */
import { readdir, rm, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeAdapter } from "../adapter/adapter-file.ts";
import type { Base } from "../base/base.ts";
import type { MergePorts } from "../engine/server/merged-engines.ts";
import { AppError } from "../errors.ts";
import type { AdapterStore } from "../store/adapter-store.ts";
import { measureMerge } from "./measure-merge.ts";

export interface MergePortsOptions {
  readonly base: Base;
  readonly store: AdapterStore;
  /** A directory only for merged bases. On the base's file system they need little space. */
  readonly mergedDir: string;
  readonly maxAdapterBytes: number;
  /** Maximum number of tokens of a probe. */
  readonly maxLen: number;
  readonly numThreads: number;
  /** Whether an engine serves the generation, or is being started for it. */
  readonly isServed: (generation: string) => boolean;
}

export function mergePorts(options: MergePortsOptions): MergePorts {
  const { base, store, mergedDir, maxAdapterBytes, numThreads } = options;
  const prepareMerged = async (generation: string): Promise<string> => {
    const bytes = store.content(generation);
    if (!bytes)
      throw new AppError("adapter_not_found", `The adapter ${generation} is no longer in the store. Upload it again.`);
    const adapter = decodeAdapter(bytes, { maxBytes: maxAdapterBytes });
    await removeUnserved(mergedDir, (other) => other !== generation && options.isServed(other));
    const dir = join(mergedDir, generation);
    // A server that merges nothing starts without the code that reads and writes weights.
    const { writeMergedBase } = await import("../base/merge/merged-base.ts");
    await writeMergedBase(base, adapter, generation, dir, numThreads);
    return dir;
  };
  const { vocabSize } = base.manifest.config;
  return {
    prepareMerged,
    measureMerge: (generation, live, merged) => measureMerge(generation, live, merged, vocabSize, options.maxLen),
  };
}

/**
 * Removes every directory that is not in use. Directories of an earlier run are removed too, since they may belong to
 * another base.
 */
async function removeUnserved(mergedDir: string, isServed: (generation: string) => boolean): Promise<void> {
  await mkdir(mergedDir, { recursive: true });
  for (const name of await readdir(mergedDir))
    if (!isServed(name)) await rm(join(mergedDir, name), { recursive: true, force: true });
}
