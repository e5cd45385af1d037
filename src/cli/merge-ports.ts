/** What the engine's supervisor asks of the composition root to serve an adapter merged. */
import { AppError } from "../errors.ts";
import type { MergePorts } from "../engine/merged-engines.ts";
import { measureMerge } from "./measure-merge.ts";

/** @param vocabSize ids of the probes that measure a merge lie below. @param maxLen most tokens of a probe. */
export function mergePorts({ vocabSize, maxLen }: { readonly vocabSize: number; readonly maxLen: number }): MergePorts {
  return {
    // NOTE: folding an adapter into a base directory comes with src/base; until then the refusal is honest.
    prepareMerged: async () => {
      throw new AppError("not_mergeable", "This version serves adapters live alone. Place it live.");
    },
    measureMerge: (generation, live, merged) => measureMerge(generation, live, merged, vocabSize, maxLen),
  };
}
