/** Opens the base and describes the model of a training run, for the commands that train and that only measure. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Base, openBase } from "../../base/base.ts";
import type { FileWeights } from "../../base/file-weights.ts";
import { MANIFEST_FILE } from "../../base/manifest.ts";
import { AppError } from "../../errors.ts";
import { rowLength } from "../../train/data/layout.ts";
import type { Objective } from "../../train/objective/objective.ts";
import type { Run } from "../../train/run.ts";
import type { TrainModelOptions } from "../../train/train-model.ts";
import { trainedOf } from "../../train/trained-adapter.ts";
import { resolveBase } from "../shared/resolve-base.ts";
import type { TrainConfig } from "./flags.ts";

/** The base to train on. @throws {AppError} base_invalid where its original weights are missing */
export async function openTrainingBase({ method, model, targets, threshold, cache }: TrainConfig): Promise<Base> {
  const isBase = existsSync(join(model, MANIFEST_FILE));
  const usesBasis = method === "mo-sara" || method === "sara";
  const buildFlags = isBase
    ? { targets: null, threshold: null }
    : { targets: method === "full" ? ["none"] : usesBasis ? targets : null, threshold };
  const common = { weights: "auto", blockSize: null, basisFrom: null, maxRank: null, slim: false } as const;
  const base = await openBase(await resolveBase(model, { ...common, ...buildFlags, cache }));
  if (base.manifest.hasOriginals) return base;
  await base[Symbol.asyncDispose]();
  throw new AppError(
    "base_invalid",
    `${model} was built with --slim, without the original weights that training needs. Name the checkpoint it was built from as --model, or build it again without --slim.`,
  );
}

/**
 * The options of the training graph, for a base and the plan of a run.
 * @param weights of the base, for a graph that is opened. A graph that is only measured needs no files.
 */
export function modelOptions(
  base: Base,
  { device, threads }: TrainConfig,
  { plan, maxLength, packing }: Run,
  objective: Objective,
  weights: Pick<FileWeights, "source" | "dir"> = base,
): TrainModelOptions {
  return {
    objective,
    config: base.manifest.config,
    source: weights.source,
    trained: plan ? trainedOf(plan) : { kind: "full" },
    maxPositions: rowLength(maxLength),
    packing,
    weightsDir: weights.dir,
    device,
    numThreads: threads ?? availableParallelism(),
  };
}
