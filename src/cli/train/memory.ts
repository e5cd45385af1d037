/** Estimates the memory of a training run before it starts, because users decide here whether to continue. */
import { freemem } from "node:os";
import { AppError } from "../../errors.ts";
import { buildTrainGraph } from "../../model/train/train-graph.ts";
import { lossTokens } from "../../train/batch-feeds.ts";
import { type TrainExample, longestOf, sequencesOf } from "../../train/data/batches.ts";
import { rowLength } from "../../train/data/layout.ts";
import { type BatchExtent, estimateTrainingMemory } from "../../train/memory-estimate.ts";
import type { TrainModelOptions } from "../../train/train-model.ts";
import type { RewardSettings } from "../../train/method-settings.ts";
import type { TrainConfig } from "./flags.ts";
import type { Run } from "../../train/run.ts";

/**
 * Prints one line on stderr, and a second line if there is not enough memory.
 * @param mustFit refuses the run instead @throws {AppError} insufficient_memory
 */
export function announceMemory(
  options: TrainModelOptions,
  run: Run,
  { batchSize, device }: TrainConfig,
  mustFit: boolean,
): void {
  const { total, extent } = neededMemory(options, run, batchSize);
  const batch = `batches of up to ${extent.rows} × ${extent.length} tokens`;
  process.stderr.write(`training: ${batch} need about ${inGigabytes(total)} of memory\n`);
  const free = availableBytes();
  if (mustFit && device === "cpu" && total > free)
    throw new AppError(
      "insufficient_memory",
      `The job needs about ${inGigabytes(total)} of memory for ${batch}, and ${inGigabytes(free)} is free. Lower batch_size or mosara.max_length, or try again later.`,
    );
  if (device === "cpu" && total > free)
    process.stderr.write(
      `note: only ${inGigabytes(free)} of memory is free, so the run may be killed. Lower --batch-size (and raise --accumulate) or --max-length.\n`,
    );
}

/** @returns bytes of all processes of the run, and its largest micro-batch */
function neededMemory(options: TrainModelOptions, run: Run, batchSize: number) {
  const { objective } = run.flags;
  const loss = options.objective?.loss ?? { kind: "labels" };
  const graphOf = (hasGradients: boolean) => buildTrainGraph({ ...options, loss, hasGradients }).graph;
  if (objective.kind === "reward") {
    const extent = groupExtent(run.training.examples, objective, run.maxLength);
    const { total, weights } = estimateTrainingMemory([graphOf(true)], extent);
    return { extent, total: total + weights }; // the engine that samples has the weights as well
  }
  const graphs = [true, ...(run.evaluation || objective.kind === "dpo" ? [false] : [])].map(graphOf);
  const extent = largestBatch([...run.training.examples, ...(run.evaluation?.examples ?? [])], batchSize);
  return { extent, total: estimateTrainingMemory(graphs, extent).total };
}

/** The upper bound of all groups of answers. */
function groupExtent(
  prompts: readonly TrainExample[],
  { groupSize, maxAnswerTokens }: RewardSettings,
  maxLength: number,
): BatchExtent {
  const longest = prompts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const length = Math.min(maxLength, longest + maxAnswerTokens);
  return { rows: groupSize, length: rowLength(length), lossRows: groupSize * Math.min(maxAnswerTokens, length) };
}

/**
 * The upper bound of all micro-batches: the longest examples and those with most tokens to predict, as if in one batch.
 */
function largestBatch(examples: readonly TrainExample[], batchSize: number): BatchExtent {
  const numExamples = Math.min(batchSize, examples.length);
  const longest = examples.reduce((most, example) => Math.max(most, longestOf(example)), 0);
  const counts = examples.map((example) => lossTokens([example])).sort((a, b) => b - a);
  const lossRows = counts.slice(0, numExamples).reduce((sum, count) => sum + count, 0);
  const rows = numExamples * sequencesOf(examples.slice(0, 1)).length; // all examples are pairs, or none is
  return { rows, length: rowLength(longest), lossRows };
}

/** Memory that the host has left, or that the container may still use. */
function availableBytes(): number {
  const limit = process.constrainedMemory();
  const left = limit > 0 ? limit - process.memoryUsage.rss() : Infinity;
  return Math.min(freemem(), left);
}

const inGigabytes = (bytes: number): string =>
  `${bytes < 1e10 ? (bytes / 1e9).toPrecision(2) : Math.round(bytes / 1e9)} GB`;
