/** Converts build flags to the builder's options, for every command that may build. */
import { availableParallelism } from "node:os";
import { type BuildOptions, DEFAULT_THRESHOLD } from "../../base/build/build.ts";
import { budgetBits } from "../../base/build/weight-choice.ts";
import type { BuildFlags } from "../../config/commands.ts";
import { targetChoice } from "../../base/build/targets.ts";
import { AppError } from "../../errors.ts";

/** @throws {AppError} usage where flags contradict each other. */
export function buildOptions(flags: BuildFlags): BuildOptions {
  const { weights, blockSize, basisFrom, threshold, maxRank, slim } = flags;
  if (blockSize !== null && budgetBits(weights) !== null)
    throw new AppError(
      "usage",
      `--weights ${weights} chooses the blocks of each matrix. Leave --block-size out, or use --weights int4.`,
    );
  if (blockSize !== null && (weights === "float32" || weights === "float16"))
    throw new AppError(
      "usage",
      `--block-size is for quantised weights, but --weights is ${weights}. Leave one of them out.`,
    );
  if (basisFrom !== null && (threshold !== null || maxRank !== null))
    throw new AppError("usage", "--basis-from copies the ranks with the bases. Leave --threshold and --max-rank out.");
  return {
    weights,
    blockSize,
    basisFrom,
    targets: targetChoice(flags.targets),
    threshold: threshold ?? DEFAULT_THRESHOLD,
    maxRank,
    isSlim: slim,
    numThreads: availableParallelism(),
  };
}
