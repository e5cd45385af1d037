/** The quantity that a run minimises: how a micro-batch is weighted and fed, and how its tokens' losses are summed. */
import type { TrainLoss } from "../../model/train/train-graph.ts";
import { LOSS_WEIGHTS } from "../../model/train/train-ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { lossTokens } from "../batch-feeds.ts";
import type { MicroBatch } from "../data/batches.ts";
import type { RewardMeasures, RewardName } from "../step-log.ts";

/** Sums over a micro-batch (of "/max": the largest value), or its shares of the means of a step. */
export interface BatchResult {
  readonly loss: number;
  readonly measures: RewardMeasures;
}

export interface Objective {
  /** The loss in the training graph. */
  readonly loss: TrainLoss;
  /** The micro-batch's part of the divisor of the loss. */
  weightOf(batch: MicroBatch): number;
  /** The feeds besides those of every objective. */
  feeds(batch: MicroBatch): Record<string, RuntimeTensor>;
  /** @param rowLosses −log-probability of each predicted token, in the order of the sequences */
  sums(batch: MicroBatch, rowLosses: Float32Array): BatchResult;
}

/** Learning from examples: the mean cross-entropy of the predicted tokens. */
export const SUPERVISED: Objective = {
  loss: { kind: "labels" },
  weightOf: lossTokens,
  feeds: (batch) => {
    const count = lossTokens(batch);
    return { [LOSS_WEIGHTS.name]: runtimeTensor("float32", new Float32Array(count).fill(1), [count]) };
  },
  sums: (_, rowLosses) => ({ loss: rowLosses.reduce((sum, loss) => sum + loss, 0), measures: {} }),
};

/** Whether a measure is the largest value. All others are means. */
const isLargest = (name: string): boolean => name.endsWith("/max");

/** a + b, measure by measure; of a largest value the larger one. */
export function plus(a: BatchResult, b: BatchResult): BatchResult {
  const names = new Set([...Object.keys(a.measures), ...Object.keys(b.measures)] as RewardName[]);
  const measures = Array.from(names, (name) => {
    const [left, right] = [a.measures[name] ?? 0, b.measures[name] ?? 0];
    return [name, isLargest(name) ? Math.max(left, right) : left + right];
  });
  return { loss: a.loss + b.loss, measures: Object.fromEntries(measures) as RewardMeasures };
}

/** Every sum divided by the weight of what it is summed over. */
export function dividedBy({ loss, measures }: BatchResult, weight: number): BatchResult {
  const means = Object.entries(measures).map(([name, sum]) => [name, isLargest(name) ? sum : sum / weight]);
  return { loss: loss / weight, measures: Object.fromEntries(means) as RewardMeasures };
}

/** The sum of no results. */
export const NOTHING: BatchResult = { loss: 0, measures: {} };
