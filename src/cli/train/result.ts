/** The results of `mosara train`: the file with its card, the JSON result and the line for users. */
import type { Card } from "../../adapter/adapter.ts";
import type { Base } from "../../base/base.ts";
import { DivergedError } from "../../train/divergence.ts";
import { scoreGolden } from "../../train/golden-answers.ts";
import { recentLoss } from "../../train/run-state.ts";
import { adapterOf } from "../../train/trained-adapter.ts";
import { writeTrainedCheckpoint } from "../../train/trained-checkpoint.ts";
import type { Trainer } from "../../train/trainer.ts";
import type { ExampleSet } from "../../train/data/run-data.ts";
import { type OutputPaths, keptPaths, writeAdapter } from "./output.ts";
import { duration } from "./progress.ts";
import { type Run, objectiveCard } from "../../train/run.ts";

/** The output of `--json`. Source: docs/reference/commands.md, `train`. */
export interface TrainResult {
  readonly out: string;
  /** null for a checkpoint. */
  readonly generation: string | null;
  readonly method: string;
  readonly steps: number;
  readonly numParams: number;
  readonly bytes: number;
  /** Mean loss of the last steps. */
  readonly trainLoss: number | null;
  readonly evalLossBase: number | null;
  /** Held-out loss of the written state, which is the best. */
  readonly evalLoss: number | null;
  /** Preferences with held-out pairs: share of pairs whose chosen answer gained more than the rejected one. */
  readonly evalAccuracy?: number;
  /** Rewards: mean of the last step. */
  readonly trainReward?: number;
  /** Rewards with held-out prompts: mean reward of the likeliest answers, of the base and of the written state. */
  readonly evalRewardBase?: number;
  readonly evalReward?: number;
  /** Duration of this process. */
  readonly seconds: number;
}

/** Writes the best state, or the last state if no data was held out. @throws {AppError} training_failed */
export async function writeResult(
  base: Base,
  trainer: Trainer,
  run: Run,
  paths: OutputPaths,
): Promise<Omit<TrainResult, "seconds">> {
  const { parameters } = trainer.model;
  const { state } = trainer;
  const accuracy = state.best?.measures?.["rewards/accuracies"];
  const written = await writeValues(trainer.resultValues, base, trainer, run, paths);
  return {
    out: paths.out,
    generation: written.generation,
    method: run.flags.method,
    steps: state.step,
    numParams: parameters.length,
    bytes: written.bytes,
    trainLoss: recentLoss(state),
    evalLossBase: state.baseLoss,
    evalLoss: state.best?.evalLoss ?? null,
    ...(accuracy === undefined ? {} : { evalAccuracy: accuracy }),
    ...rewardsOf(trainer, run),
  };
}

function rewardsOf({ state, measures }: Trainer, { flags }: Run): Partial<TrainResult> {
  if (flags.objective.kind !== "reward") return {};
  const { baseLoss, best } = state;
  return {
    ...(measures.reward === undefined ? {} : { trainReward: measures.reward }),
    ...(baseLoss === null ? {} : { evalRewardBase: 1 - baseLoss }),
    ...(best === null ? {} : { evalReward: 1 - best.evalLoss }),
  };
}

/** Writes the present state beside the run's own output. @throws {AppError} training_failed */
export async function keepStep(base: Base, trainer: Trainer, run: Run, paths: OutputPaths): Promise<void> {
  await writeValues(trainer.model.parameters.values, base, trainer, run, keptPaths(paths, trainer.state.step));
}

/**
 * Writes the best state of a run that has diverged, if that state was better than the start.
 * @returns the run's error, extended by the path of the state
 */
export async function keepBest(
  error: DivergedError,
  base: Base,
  trainer: Trainer,
  run: Run,
  paths: OutputPaths,
): Promise<DivergedError> {
  const { bestValues } = trainer;
  const { best, baseLoss, calm, firstLoss } = trainer.state;
  const isBetter = best
    ? baseLoss === null || best.evalLoss < baseLoss
    : calm !== null && firstLoss !== null && calm.loss < firstLoss;
  if (!isBetter || bestValues === null) return error;
  await writeValues(bestValues, base, trainer, run, paths);
  const score = best
    ? `of step ${best.step}, with a held-out loss of ${best.evalLoss.toFixed(4)}`
    : `of step ${calm?.step ?? 0}, with a training loss of ${calm?.loss.toFixed(4) ?? ""}`;
  return new DivergedError(error.reason, error.advice, `The best state, ${score}, is kept in ${paths.out}.`);
}

async function writeValues(
  values: Float32Array,
  base: Base,
  trainer: Trainer,
  run: Run,
  paths: OutputPaths,
): Promise<{ readonly generation: string | null; readonly bytes: number }> {
  const { parameters } = trainer.model;
  const { config, baseId } = base.manifest;
  const { endTokenIds } = run.training;
  if (run.plan === null) {
    const texts = { dir: base.dir, endTokenIds };
    return { generation: null, bytes: await writeTrainedCheckpoint(paths.out, config, texts, parameters, values) };
  }
  const examples = (run.evaluation ?? run.training).examples;
  const golden = await scoreGolden(trainer.model, values, examples, run.numGolden);
  const card = {
    ...cardOf(trainer, run),
    ...(golden.length === 0 ? {} : { golden: golden.map((one) => ({ ...one })) }),
  };
  const extras = { endTokenIds, card };
  return await writeAdapter(paths, adapterOf(run.plan, baseId, parameters, values, extras));
}

/**
 * Describes how the adapter was made. No clocks, paths, threads or interruptions, so that equal runs give equal bytes.
 */
function cardOf({ state }: Trainer, { flags, training, evaluation, maxLength, schedule, settings }: Run): Card {
  return {
    method: flags.method,
    ...(flags.rank === null ? {} : { rank: flags.rank, alpha: flags.alpha }),
    data: dataCard(training),
    evalData: evaluation ? dataCard(evaluation) : null,
    steps: state.step,
    batchSize: settings["batch size"] ?? null,
    accumulate: settings.accumulate ?? null,
    maxLength,
    lr: schedule.peak,
    warmupSteps: schedule.warmupSteps,
    plannedSteps: schedule.steps,
    weightDecay: settings["weight decay"] ?? null,
    clip: settings.clip ?? null,
    trust: settings.trust ?? null,
    seed: settings.seed ?? null,
    ...objectiveCard(flags.objective),
    scores: {
      trainLoss: recentLoss(state),
      evalLossBase: state.baseLoss,
      evalLoss: state.best?.evalLoss ?? null,
      bestStep: state.best?.step ?? null,
      ...state.best?.measures,
    },
  };
}

function dataCard({ examples, numTokens, numLossTokens, sha256 }: ExampleSet): Card {
  return { examples: examples.length, tokens: numTokens, lossTokens: numLossTokens, sha256 };
}

/** The result as text for users. */
export function summary(result: TrainResult): string {
  const { out, method, numParams, bytes, steps, seconds, evalAccuracy } = result;
  const accuracy = evalAccuracy === undefined ? "" : `, held-out accuracy ${evalAccuracy.toFixed(3)}`;
  return `${out}: ${method}, ${numParams} trained numbers, ${bytes} bytes, ${steps} steps in ${duration(seconds)}\n${scoresOf(result)}${accuracy}\n`;
}

function scoresOf({ trainLoss, evalLossBase, evalLoss, trainReward, evalRewardBase, evalReward }: TrainResult): string {
  const number = (value: number | null | undefined): string => value?.toFixed(4) ?? "–";
  const of = (what: string, base: string, held: string | null, training: string): string =>
    held === null ? `training ${what} ${training}` : `held-out ${what} ${base} → ${held}, training ${what} ${training}`;
  if (trainReward === undefined && evalReward === undefined)
    return of("loss", number(evalLossBase), evalLoss === null ? null : number(evalLoss), number(trainLoss));
  return of(
    "reward",
    number(evalRewardBase),
    evalReward === undefined ? null : number(evalReward),
    number(trainReward),
  );
}
