/**
 * The decisions of `mosara train` before the first step: data, layers, schedule, and the settings that identify the
 * run.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Base } from "../base/base.ts";
import { MANIFEST_FILE } from "../base/manifest.ts";
import type { ConfigOf } from "../config/commands.ts";
import { AppError } from "../errors.ts";
import { type BatchSource, type MicroBatch, shuffledBatches, sortedBatches } from "./data/batches.ts";
import type { RunSettings } from "./checkpoint.ts";
import { type Schedule, warmupSteps } from "./schedule.ts";
import type { AdapterPlan } from "./trained-adapter.ts";
import type { TrainerOptions } from "./trainer.ts";
import { type ExampleSet, type ReadData, encodeData } from "./data/run-data.ts";
import type { MethodSettings, TrainObjective } from "./method-settings.ts";
import type { TokenCosts } from "./data/layout.ts";
import { choosePacking, tokenCosts } from "./packing.ts";
import { planAdapter } from "./plan.ts";

/** The flags of `mosara train`. */
type TrainConfig = ConfigOf<"train">;

const DEFAULT_EPOCHS = 3;
/** Default maximum length. Longer examples are rare in instruction data, and attention grows with the square. */
const DEFAULT_MAX_LENGTH = 1024;
/** Rate of the last step as a share of the highest rate. */
const FLOOR = 0.05;

/** All decisions made before the first step. */
export interface Run {
  readonly flags: MethodSettings;
  /** null: full. */
  readonly plan: AdapterPlan | null;
  readonly training: ExampleSet;
  readonly evaluation: ExampleSet | null;
  /** The training examples of every step. */
  readonly batches: BatchSource;
  readonly maxLength: number;
  /** The costs by which tokens that sequences share are computed once; null: each sequence has its own row. */
  readonly packing: TokenCosts | null;
  /** Number of golden answers for the card. */
  readonly numGolden: number;
  readonly schedule: Schedule;
  readonly options: TrainerOptions & { readonly evaluation: readonly MicroBatch[] };
  readonly settings: RunSettings;
  /** With rewards: the grader, as JSON or as a command; otherwise null. */
  readonly grader: string | null;
}

/** Maximum number of tokens of an example, where the user chose none. */
export function defaultMaxLength({ maxPositions }: { readonly maxPositions: number }): number {
  return Math.min(maxPositions, DEFAULT_MAX_LENGTH);
}

/** @throws {AppError} usage, data_invalid, checkpoint_invalid, base_invalid */
export async function prepareRun(
  base: Base,
  config: TrainConfig,
  flags: MethodSettings,
  data: ReadData,
  onNotice: (text: string) => void,
  grader: string | null = null,
): Promise<Run> {
  const { maxPositions, vocabSize } = base.manifest.config;
  const maxLength = config.maxLength ?? defaultMaxLength(base.manifest.config);
  if (maxLength > maxPositions)
    throw new AppError("usage", `--max-length ${maxLength} is more than the model's ${maxPositions} positions.`);
  const encodeOptions = { vocabSize, maxLength, overlong: config.overlong, onNotice };
  const { training, evaluation } = await encodeData(base.dir, data, encodeOptions);
  const isBase = existsSync(join(config.model, MANIFEST_FILE));
  const { method } = flags;
  const plan =
    method === "full"
      ? null
      : await planAdapter(base, {
          flags: { ...flags, method },
          targets: config.targets,
          threshold: isBase ? config.threshold : null,
          onNotice,
        });
  const batches = shuffledBatches(training.examples, config, config.seed);
  const steps = config.steps ?? Math.max(1, Math.round((config.epochs ?? DEFAULT_EPOCHS) * batches.stepsPerEpoch));
  const schedule = { peak: flags.learningRate, steps, warmupSteps: warmupSteps(config.warmup, steps), floor: FLOOR };
  const options = {
    schedule,
    weightDecay: config.weightDecay,
    clip: config.clip === 0 ? null : config.clip,
    trust: flags.trust,
    evaluation: evaluation ? sortedBatches(evaluation.examples, config.batchSize) : [],
    evalEvery: config.evalEvery ?? Math.max(1, Math.round(steps / 10)),
    saveEvery: config.saveEvery,
    keptSteps: config.keepEpochs === 0 ? [] : epochEnds(steps, batches.stepsPerEpoch).slice(-config.keepEpochs),
    patience: config.patience,
  };
  const { baseId } = base.manifest;
  const numGolden = plan === null || flags.objective.kind === "reward" ? 0 : config.golden; // prompts have no answers
  // The answers of a group begin with one prompt.
  const { config: model } = base.manifest;
  const packing = flags.objective.kind === "reward" ? tokenCosts(model) : choosePacking(model, batches);
  const run = { flags, plan, training, evaluation, batches, maxLength, packing, numGolden, schedule, options, grader };
  return { ...run, settings: settingsOf(baseId, run, config) };
}

/** The last steps of all epochs that end within so many steps. */
function epochEnds(steps: number, stepsPerEpoch: number): readonly number[] {
  return Array.from({ length: Math.floor(steps / stepsPerEpoch) }, (_, epoch) => (epoch + 1) * stepsPerEpoch);
}

/** The objective as settings, and on a card; examples are the default. */
export function objectiveCard({ kind, ...sizes }: TrainObjective): Readonly<Record<string, string | number>> {
  return kind === "sft" ? {} : { objective: kind, ...sizes };
}

/** The settings that decide the bytes of the result. Layers and data enter by their content. */
function settingsOf(baseId: string, run: Omit<Run, "settings">, config: TrainConfig): RunSettings {
  const { flags, plan, training, evaluation, schedule, options } = run;
  const layers = plan?.layers.map(({ name, k, stored }) => `${name}:${k}:${stored?.basisId.slice(0, 8) ?? ""}`);
  return {
    method: flags.method,
    heads: flags.heads,
    router: flags.router,
    rank: flags.rank,
    alpha: flags.alpha,
    base: baseId,
    layers: layers?.join(" ") ?? null,
    data: training.sha256,
    eval: evaluation?.sha256 ?? null,
    steps: schedule.steps,
    "batch size": config.batchSize,
    accumulate: config.accumulate,
    "max length": run.maxLength,
    lr: schedule.peak,
    "warm-up steps": schedule.warmupSteps,
    floor: schedule.floor,
    "weight decay": options.weightDecay,
    clip: options.clip,
    trust: options.trust,
    units: plan?.method === "mo-sara" ? "sigma" : null,
    seed: config.seed,
    "eval every": evaluation ? options.evalEvery : null,
    patience: options.patience,
    ...objectiveCard(flags.objective),
    ...(run.grader === null ? {} : { grader: run.grader }),
    ...(run.numGolden === 0 ? {} : { "golden answers": run.numGolden }),
  };
}
