/**
 * Assigns examples to steps. It is a pure function of the examples, the sizes and the seed, so that a run can resume at
 * any step. Every epoch uses every example once, in a new order. A window of the shuffled order is sorted by length, so
 * that examples of similar length share a micro-batch with little padding. The micro-batches of an epoch come in random
 * order. Knows nothing of tensors. Indices are bounded by their loops, hence `!`.
 */
import type { EncodedExample } from "../../data/encode.ts";
import type { RewardMeasures } from "../step-log.ts";
import { type RandomState, nextUint32, seedRandom } from "../../tensor/random.ts";

/** A sequence, as far as training reads it. */
export type TrainSequence = Pick<EncodedExample, "ids" | "lossMask" | "numLossTokens">;

/** One example: a sequence to learn, or the preferred one of two. */
export interface TrainExample extends TrainSequence {
  /** The other answer to the same prompt, which is preferred less. Only with preferences. */
  readonly rejected?: TrainSequence;
  /** How the answer was sampled and graded. Only with rewards. */
  readonly rollout?: Rollout;
}

/** A graded answer of the model's own. */
export interface Rollout {
  /** How much better the answer is than the others to its prompt. */
  readonly advantage: number;
  /** Log-probability of each predicted token when it was sampled. */
  readonly logprobs: Float32Array;
}

/** All sequences of examples, in order: of a pair first the preferred one. */
export function sequencesOf(examples: readonly TrainExample[]): readonly TrainSequence[] {
  return examples.flatMap((example) => (example.rejected ? [example, example.rejected] : [example]));
}

/** Tokens of the longer sequence of an example. */
export function longestOf({ ids, rejected }: TrainExample): number {
  return Math.max(ids.length, rejected?.ids.length ?? 0);
}

/** Examples that run through the graph together. */
export type MicroBatch = readonly TrainExample[];

/** Gives the micro-batches of steps, one step after another. */
export interface StepSource {
  readonly stepsPerEpoch: number;
  /** @param step counts from 0, through all epochs */
  at(step: number): readonly MicroBatch[] | Promise<readonly MicroBatch[]>;
  /** Means over the step that was given last, for the log. */
  readonly measures?: RewardMeasures;
}

/** The micro-batches of every step, in any order. */
export interface BatchSource {
  readonly stepsPerEpoch: number;
  /** @param step counts from 0, through all epochs */
  at(step: number): readonly MicroBatch[];
}

export interface BatchSizes {
  /** Number of examples in a micro-batch. */
  readonly batchSize: number;
  /** Number of micro-batches in a step. */
  readonly accumulate: number;
}

/** Micro-batches in a window that is sorted by length. A larger window would pad less and mix less. */
const WINDOW = 32;

/** @param seed unsigned, 32 bits */
export function shuffledBatches(
  examples: readonly TrainExample[],
  { batchSize, accumulate }: BatchSizes,
  seed: number,
): BatchSource {
  const numBatches = Math.ceil(examples.length / batchSize);
  const stepsPerEpoch = Math.ceil(numBatches / accumulate);
  let current = -1;
  let batches: readonly MicroBatch[] = [];
  return {
    stepsPerEpoch,
    at: (step) => {
      const epoch = Math.floor(step / stepsPerEpoch);
      if (epoch !== current) batches = epochBatches(examples, batchSize, seedRandom(epochSeed(seed, epoch)));
      current = epoch;
      const start = (step - epoch * stepsPerEpoch) * accumulate;
      return batches.slice(start, start + accumulate);
    },
  };
}

/** Examples sorted by length, for evaluation: little padding, and always the same batches. */
export function sortedBatches(examples: readonly TrainExample[], batchSize: number): readonly MicroBatch[] {
  return slices(examples.toSorted(byLength), batchSize);
}

function epochBatches(
  examples: readonly TrainExample[],
  batchSize: number,
  random: RandomState,
): readonly MicroBatch[] {
  const order = shuffle([...examples], random);
  const windows = slices(order, batchSize * WINDOW);
  return shuffle(
    windows.flatMap((window) => slices(window.toSorted(byLength), batchSize)),
    random,
  );
}

const byLength = (a: TrainExample, b: TrainExample): number => longestOf(a) - longestOf(b);

function slices<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Shuffles in place. Source: Fisher and Yates; the bias of the remainder is below 1e-6 for a thousand items. */
function shuffle<T>(items: T[], random: RandomState): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = nextUint32(random) % (i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

/** A different random stream for every epoch of every seed. */
function epochSeed(seed: number, epoch: number): number {
  return (Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) + epoch + 1) >>> 0;
}
