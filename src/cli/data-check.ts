/** `mosara data check`: shows what a training run would make of a file of examples, and how long the run would take. */
import { type Base, openBase } from "../base/base.ts";
import { fileWeights } from "../base/file-weights.ts";
import type { ConfigOf } from "../config/commands.ts";
import { type EncodedExample, loadExampleEncoder } from "../data/encode.ts";
import { AppError } from "../errors.ts";
import { checkLeaks, checkSet } from "../train/check/check-data.ts";
import { type MeasuredCost, measureCost } from "../train/check/measured-cost.ts";
import { renderThree } from "../train/check/rendered-example.ts";
import { SUPERVISED } from "../train/objective/objective.ts";
import { Preferences } from "../train/objective/preferences.ts";
import type { ReadData } from "../train/data/run-data.ts";
import { defaultMaxLength, prepareRun } from "../train/run.ts";
import { openTrainModel } from "../train/train-model.ts";
import { initializeAdapter } from "../train/trained-adapter.ts";
import { initializeFull } from "../train/trained-checkpoint.ts";
import { readValidData } from "./data-check/valid-data.ts";
import { type DataReport, reportText } from "./data-check/report-text.ts";
import { PLAIN_BUILD, resolveBase } from "./shared/resolve-base.ts";
import { type TrainConfig, methodFlags } from "./train/flags.ts";
import { modelOptions, openTrainingBase } from "./train/open-training.ts";

type CheckConfig = ConfigOf<"data check">;

/** @returns the exit code: 1 where a line is bad. @throws {AppError} */
export async function dataCheck(config: CheckConfig): Promise<number> {
  const asTraining: TrainConfig = {
    ...config,
    data: [...config.positionals],
    out: "",
    saveEvery: 1,
    keepEpochs: 0,
    resume: false,
    report: null,
    tensorboard: null,
    grader: null,
    graderProgram: null,
    groupSize: null,
    maxAnswerTokens: null,
  };
  if (config.objective === "reward")
    throw new AppError(
      "usage",
      "data check does not support --objective reward. mosara train checks all prompts before its first step.",
    );
  const flags = methodFlags(asTraining);
  const { objective } = flags;
  await using base = config.noCost
    ? await openBase(await resolveBase(config.model, { ...PLAIN_BUILD, cache: config.cache }))
    : await openTrainingBase(asTraining);
  const encoder = await loadExampleEncoder(base.dir);
  const data = await readValidData(asTraining.data, config.eval, objective.kind === "dpo", encoder);
  const { training, evaluation, refusals } = data;
  if (training.length === 0) throw refusals[0] ?? new AppError("data_invalid", "There is no example in the file.");
  const maxLength = config.maxLength ?? defaultMaxLength(base.manifest.config);
  const check = (sequences: readonly EncodedExample[]) => checkSet(sequences, maxLength, config.overlong);
  const report: DataReport = {
    file: asTraining.data[0] ?? "",
    maxLength,
    overlong: config.overlong,
    badLines: refusals.map(({ message }) => message),
    training: check(training),
    evaluation: evaluation.length === 0 ? null : check(evaluation),
    leaks: evaluation.length === 0 ? null : checkLeaks(training, evaluation),
    rendered: renderThree(training, objective.kind === "dpo", encoder.tokenizer),
    cost: config.noCost ? null : await costOf(base, asTraining, flags, data.data),
  };
  process.stdout.write(config.json ? `${JSON.stringify(report)}\n` : reportText(report));
  return refusals.length === 0 ? 0 : 1;
}

/** Prepares the run as `mosara train` does, and times a few of its steps. */
async function costOf(
  base: Base,
  config: TrainConfig,
  flags: ReturnType<typeof methodFlags>,
  data: ReadData,
): Promise<MeasuredCost> {
  const run = await prepareRun(base, config, flags, data, (text) => process.stderr.write(`note: ${text}\n`));
  const { objective } = flags;
  const preferences = objective.kind === "dpo" ? new Preferences(objective.beta) : null;
  await using weights = await fileWeights(base);
  await using model = await openTrainModel(modelOptions(base, config, run, preferences ?? SUPERVISED, weights));
  if (run.plan) await initializeAdapter(run.plan, model.parameters, config.seed);
  else await initializeFull(base.source, model.parameters);
  if (preferences) {
    // The reference's values do not change the duration, so no pass is made for them.
    const pairs = [...run.training.examples, ...(run.evaluation?.examples ?? [])];
    preferences.refer(pairs, new Float32Array(2 * pairs.length));
  }
  const { batches, schedule, options } = run;
  return await measureCost(model, batches, { ...options, steps: schedule.steps });
}
