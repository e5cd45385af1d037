/**
 * What the engine's supervisor asks of the composition root to serve an adapter merged: a base directory with the adapter in its
 * weights, and how far its answers are from the live ones. The directories lie beside the store and go when nobody serves them.
 */
import { readdir, rm, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeAdapter } from "../adapter/adapter-file.ts";
import type { Base } from "../base/base.ts";
import { writeMergedBase } from "../base/merge/merged-base.ts";
import type { MergePorts } from "../engine/server/merged-engines.ts";
import { AppError } from "../errors.ts";
import type { AdapterStore } from "../store/adapter-store.ts";
import { measureMerge } from "./measure-merge.ts";

export interface MergePortsOptions {
  readonly base: Base;
  readonly store: AdapterStore;
  /** Holds the directories and nothing else; on the base's file system they cost little. */
  readonly mergedDir: string;
  readonly maxAdapterBytes: number;
  /** Most tokens of a probe. */
  readonly maxLen: number;
  readonly numThreads: number;
  /** Whether an engine serves, or is being started for, the generation. */
  readonly isServed: (generation: string) => boolean;
}

export function mergePorts(options: MergePortsOptions): MergePorts {
  const { base, store, mergedDir, maxAdapterBytes, numThreads } = options;
  const prepareMerged = async (generation: string): Promise<string> => {
    const bytes = store.content(generation);
    if (!bytes)
      throw new AppError("adapter_not_found", `The adapter ${generation} is gone from the store. Upload it again.`);
    const adapter = decodeAdapter(bytes, { maxBytes: maxAdapterBytes });
    await removeUnserved(mergedDir, (other) => other !== generation && options.isServed(other));
    const dir = join(mergedDir, generation);
    await writeMergedBase(base, adapter, generation, dir, numThreads);
    return dir;
  };
  const { vocabSize } = base.manifest.config;
  return {
    prepareMerged,
    measureMerge: (generation, live, merged) => measureMerge(generation, live, merged, vocabSize, options.maxLen),
  };
}

/** Removes every directory but those in use; also what an earlier run has left, which may be of another base. */
async function removeUnserved(mergedDir: string, isServed: (generation: string) => boolean): Promise<void> {
  await mkdir(mergedDir, { recursive: true });
  for (const name of await readdir(mergedDir))
    if (!isServed(name)) await rm(join(mergedDir, name), { recursive: true, force: true });
}
