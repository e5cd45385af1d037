/**
 * `mosara train`: makes an adapter (or a checkpoint) from examples. All
 * errors in flags, data, base and output are found before the first step.
 */
import { availableParallelism, cpus } from "node:os";
import type { Base } from "../base/base.ts";
import { fileWeights } from "../base/file-weights.ts";
import { AppError } from "../errors.ts";
import { TensorboardLog } from "../report/tensorboard.ts";
import {
  type SavedRun,
  type Surroundings,
  assertSameRun,
  readCheckpoint,
  restore,
  saveCheckpoint,
} from "../train/checkpoint.ts";
import { DivergedError } from "../train/divergence.ts";
import { INITIAL_STATE } from "../train/run-state.ts";
import { type EvaluationLine, StepLog, type StepLine } from "../train/step-log.ts";
import { type TrainModel, openTrainModel } from "../train/train-model.ts";
import { initializeAdapter } from "../train/trained-adapter.ts";
import { initializeFull } from "../train/trained-checkpoint.ts";
import { Trainer } from "../train/trainer.ts";
import { waitForSignal } from "./shared/shutdown.ts";
import { type ReadData, readData, readPreferenceData, readPromptData } from "../train/data/run-data.ts";
import type { MethodSettings } from "../train/method-settings.ts";
import { SUPERVISED } from "../train/objective/objective.ts";
import { Preferences } from "../train/objective/preferences.ts";
import { Rewards } from "../train/objective/rewards.ts";
import { Cleanup } from "./shared/cleanup.ts";
import { assertGradable, openGrading } from "./train/grading.ts";
import { type RewardRollouts, startRollouts } from "./train/reward-rollouts.ts";
import { referTo } from "./train/references.ts";
import { type TrainConfig, methodFlags } from "./train/flags.ts";
import { modelOptions, openTrainingBase } from "./train/open-training.ts";
import { announceMemory } from "./train/memory.ts";
import { type OutputPaths, assertWritable, outputPaths, putAside } from "./train/output.ts";
import { TrainProgress } from "./train/progress.ts";
import { assertReportWritable, writeReport } from "./train/report.ts";
import { type TrainResult, keepBest, keepStep, summary, writeResult } from "./train/result.ts";
import { type Run, prepareRun } from "../train/run.ts";

/** Receives every step and evaluation. */
export type TrainListener = (line: StepLine | EvaluationLine, totalSteps: number) => void;

/** @returns the exit code. @throws {AppError} */
export async function train(config: TrainConfig): Promise<number> {
  const result = await trainToEnd(config, () => {});
  process.stdout.write(config.json ? `${JSON.stringify(result)}\n` : summary(result));
  return 0;
}

/**
 * Trains, and writes everything that the flags ask for.
 * @param mustFit whether a run that needs more memory than is free is refused @throws {AppError}
 */
export async function trainToEnd(config: TrainConfig, onLine: TrainListener, mustFit = false): Promise<TrainResult> {
  const start = performance.now();
  const flags = methodFlags(config);
  const paths = outputPaths(config.out);
  const saved = config.resume ? await readCheckpoint(paths.checkpoint) : null;
  await assertWritable(paths, flags.method === "full", saved !== null);
  if (config.report !== null) await assertReportWritable(config.report);
  await using cleanup = new Cleanup();
  const grading = await openGrading(config);
  if (grading) cleanup.use(grading);
  const data = await readDataFor(flags, config);
  await using base = await openTrainingBase(config);
  const run = await prepareRun(base, config, flags, data, notice, grading?.description);
  const prompts = [run.training, run.evaluation].flatMap((set) => set?.prompts ?? []);
  if (grading) await assertGradable(grading, prompts);
  if (saved) assertSameRun(saved, run.settings, paths.checkpoint);
  const preferences = flags.objective.kind === "dpo" ? new Preferences(flags.objective.beta) : null;
  const objective = flags.objective.kind === "reward" ? new Rewards(flags.objective.clip) : (preferences ?? SUPERVISED);
  announceMemory(modelOptions(base, config, run, objective), run, config, mustFit);
  await using weights = await fileWeights(base);
  await using model = await openTrainModel(modelOptions(base, config, run, objective, weights));
  const rollouts = grading && (await startRollouts(base, config, run, model, grading, cleanup));
  const trainer = await makeTrainer(base, config, run, model, rollouts);
  const references = preferences && (await referTo(preferences, model, run, config.batchSize, saved));
  const initial = config.report === null ? null : model.parameters.values.slice();
  const surroundings = surroundingsOf(config);
  if (saved) goOn(trainer, saved, surroundings);
  else {
    if (config.resume) notice(`there is no checkpoint ${paths.checkpoint} to resume from; beginning at step 0.`);
    await putAside(paths, run.schedule.steps, notice);
  }
  try {
    await runTrainer(trainer, run, paths, {
      surroundings,
      references,
      eventsDir: config.tensorboard,
      onLine,
      keep: () => keepStep(base, trainer, run, paths),
    });
  } catch (error) {
    throw error instanceof DivergedError ? await keepBest(error, base, trainer, run, paths) : error;
  }
  const written = await writeResult(base, trainer, run, paths);
  const result = { ...written, seconds: (performance.now() - start) / 1000 };
  warnIfWorse(result);
  if (config.report !== null && initial !== null)
    await writeReport(config.report, { config, base, run, data, trainer, initial, result, paths }, notice);
  return result;
}

/** Prints a notice that is not a failure. Failures begin with the program's name. */
function notice(text: string): void {
  process.stderr.write(`note: ${text}\n`);
}

function warnIfWorse({ evalLoss, evalLossBase, evalReward }: TrainResult): void {
  const what = evalReward === undefined ? "loss" : "reward";
  if (evalLoss !== null && evalLossBase !== null && evalLoss >= evalLossBase)
    notice(`the held-out ${what} is no better than the base's. Train longer, or try another --lr.`);
}

/** A trainer at step 0. */
async function makeTrainer(
  base: Base,
  config: TrainConfig,
  run: Run,
  model: TrainModel,
  rollouts: RewardRollouts | null,
): Promise<Trainer> {
  const units = run.plan ? await initializeAdapter(run.plan, model.parameters, config.seed) : null;
  if (units === null) await initializeFull(base.source, model.parameters);
  if (rollouts === null) return new Trainer(model, run.batches, run.options, INITIAL_STATE, units);
  const evaluation = run.evaluation ? () => rollouts.evaluate() : [];
  return new Trainer(model, rollouts, { ...run.options, evaluation }, INITIAL_STATE, units);
}

/** @throws {AppError} usage, data_invalid */
async function readDataFor(
  { objective, method }: MethodSettings,
  { data, eval: held }: TrainConfig,
): Promise<ReadData> {
  switch (objective.kind) {
    case "sft":
      return await readData(data, held, method === "full");
    case "dpo":
      return await readPreferenceData(data, held);
    case "reward":
      return await readPromptData(data, held);
  }
}

function surroundingsOf({ device, threads }: TrainConfig): Surroundings {
  return { cpu: cpus()[0]?.model ?? process.arch, device, threads: threads ?? availableParallelism() };
}

function goOn(trainer: Trainer, saved: SavedRun, now: Surroundings): void {
  restore(trainer, saved);
  const then = saved.surroundings;
  const changed = (["cpu", "device", "threads"] as const).filter((key) => then[key] !== now[key]);
  for (const key of changed)
    notice(
      `the run began with ${key} ${then[key]} and continues with ${now[key]}, so the last bits of the result may differ.`,
    );
}

interface Accompaniment {
  readonly surroundings: Surroundings;
  /** To be kept in the checkpoint. */
  readonly references: Float32Array | null;
  /** Directory for TensorBoard. */
  readonly eventsDir: string | null;
  readonly onLine: TrainListener;
  /** Keeps the present values as an adapter of their own. */
  readonly keep: () => Promise<void>;
}

/**
 * Trains to the end. Writes the step log and shows the progress bar.
 * @throws {AppError} training_failed: a signal has stopped it, and everything is saved
 */
async function runTrainer(
  trainer: Trainer,
  run: Run,
  paths: OutputPaths,
  { surroundings, references, eventsDir, onLine, keep }: Accompaniment,
): Promise<void> {
  using log = new StepLog(paths.log, trainer.state.logBytes);
  using events = eventsDir === null ? null : new TensorboardLog(eventsDir, trainer.state.step);
  const progress = new TrainProgress(run.schedule.steps);
  let isStopping = false;
  void waitForSignal().then(() => (isStopping = true));
  try {
    await trainer.run({
      log: (line) => {
        log.append(line);
        events?.append(line);
        progress.update(line);
        onLine(line, run.schedule.steps);
      },
      save: async () => {
        trainer.state = { ...trainer.state, logBytes: log.bytes };
        await saveCheckpoint(paths.checkpoint, trainer, run.settings, surroundings, references);
      },
      keep,
      shouldStop: () => isStopping,
    });
  } finally {
    progress.end();
  }
  if (!trainer.isDone)
    throw new AppError(
      "training_failed",
      `Stopped at step ${trainer.state.step} of ${run.schedule.steps}. Everything is saved in ${paths.checkpoint}. To continue, run the same command with --resume.`,
    );
}
