/**
 * The time that a training run needs, from a few of its own steps on this machine. Steps differ in length, so the time
 * is measured for a token, padding included, and the tokens of one epoch are counted. Knows no flags.
 */
import type { BatchSource, MicroBatch } from "../data/batches.ts";
import type { TrainModel } from "../train-model.ts";

export interface MeasuredCost {
  /** Steps that were run for the measurement. Nothing of them is kept. */
  readonly measuredSteps: number;
  readonly steps: number;
  readonly secondsPerStep: number;
  readonly evaluations: number;
  readonly secondsPerEvaluation: number;
  /** The whole run, without loading the model. */
  readonly seconds: number;
}

export interface CostOptions {
  readonly steps: number;
  readonly evalEvery: number;
  readonly evaluation: readonly MicroBatch[];
}

/** Steps that are timed, after one that is not: the first also sets up memory. */
const TIMED_STEPS = 2;

export async function measureCost(
  model: TrainModel,
  batches: BatchSource,
  { steps, evalEvery, evaluation }: CostOptions,
): Promise<MeasuredCost> {
  const tokensOf = (all: readonly MicroBatch[]): number => all.reduce((sum, batch) => sum + model.tokensIn(batch), 0);
  /** @param some the first warms up, unless it is the only one */
  const secondsPerToken = async (
    some: readonly MicroBatch[],
    run: (batch: MicroBatch) => Promise<unknown>,
  ): Promise<number> => {
    const [first, ...others] = some;
    if (first === undefined) return 0;
    await run(first);
    const timed = others.length === 0 ? [first] : others;
    const start = performance.now();
    for (const batch of timed) await run(batch);
    return (performance.now() - start) / 1000 / tokensOf(timed);
  };
  const perToken = await secondsPerToken(
    Array.from({ length: 1 + TIMED_STEPS }, (_, step) => batches.at(step)).flat(),
    (batch) => model.gradients(batch, 1),
  );
  const epoch = Array.from({ length: batches.stepsPerEpoch }, (_, step) => batches.at(step)).flat();
  const secondsPerStep = (perToken * tokensOf(epoch)) / batches.stepsPerEpoch;
  const perHeldToken = await secondsPerToken(evaluation.slice(0, 1 + TIMED_STEPS), (batch) => model.sums(batch));
  const secondsPerEvaluation = perHeldToken * tokensOf(evaluation);
  const evaluations = evaluation.length === 0 ? 0 : 1 + Math.ceil(steps / evalEvery);
  const seconds = steps * secondsPerStep + evaluations * secondsPerEvaluation;
  return { measuredSteps: TIMED_STEPS, steps, secondsPerStep, evaluations, secondsPerEvaluation, seconds };
}
