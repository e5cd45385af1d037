/** `mosara data check`: shows what a training run would make of a file of examples, and how long the run would take. */
import { type Base, openBase } from "../base/base.ts";
import { fileWeights } from "../base/file-weights.ts";
import type { ConfigOf } from "../config/commands.ts";
import { type EncodedExample, type ExampleEncoder, loadExampleEncoder } from "../data/encode.ts";
import { type Example, readValidExamples } from "../data/examples.ts";
import { AppError } from "../errors.ts";
import { shuffledBatches } from "../train/batches.ts";
import { checkLeaks, checkSet } from "../train/check/check-data.ts";
import { type MeasuredCost, measureCost } from "../train/check/measured-cost.ts";
import { renderThree } from "../train/check/rendered-example.ts";
import { defaultMaxLength, prepareRun } from "../train/run.ts";
import { openTrainModel } from "../train/train-model.ts";
import { initializeAdapter } from "../train/trained-adapter.ts";
import { initializeFull } from "../train/trained-checkpoint.ts";
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
    resume: false,
    report: null,
    tensorboard: null,
  };
  const flags = methodFlags(asTraining);
  const training = await readValidExamples(asTraining.data);
  const heldOut = await readValidExamples(config.eval);
  await using base = config.noCost
    ? await openBase(await resolveBase(config.model, { ...PLAIN_BUILD, cache: config.cache }))
    : await openTrainingBase(asTraining);
  const encoder = await loadExampleEncoder(base.dir);
  const [data, held] = [encodeValid(training.examples, encoder), encodeValid(heldOut.examples, encoder)];
  const refusals = [...training.refusals, ...heldOut.refusals, ...data.refusals, ...held.refusals];
  if (data.sequences.length === 0)
    throw refusals[0] ?? new AppError("data_invalid", "There is no example in the file.");
  const maxLength = config.maxLength ?? defaultMaxLength(base.manifest.config);
  const check = (sequences: readonly EncodedExample[]) => checkSet(sequences, maxLength, config.overlong);
  const report: DataReport = {
    file: asTraining.data[0] ?? "",
    maxLength,
    overlong: config.overlong,
    badLines: refusals.map(({ message }) => message),
    training: check(data.sequences),
    evaluation: held.sequences.length === 0 ? null : check(held.sequences),
    leaks: held.sequences.length === 0 ? null : checkLeaks(data.sequences, held.sequences),
    rendered: renderThree(data.sequences, encoder.tokenizer),
    cost: config.noCost ? null : await costOf(base, asTraining, flags, [data.examples, held.examples]),
  };
  process.stdout.write(config.json ? `${JSON.stringify(report)}\n` : reportText(report));
  return refusals.length === 0 ? 0 : 1;
}

interface ValidSequences {
  readonly examples: readonly Example[];
  readonly sequences: readonly EncodedExample[];
  readonly refusals: readonly AppError[];
}

/** The sequences of the examples that can be encoded. */
function encodeValid(all: readonly Example[], encoder: ExampleEncoder): ValidSequences {
  const examples: Example[] = [];
  const sequences: EncodedExample[] = [];
  const refusals: AppError[] = [];
  for (const example of all)
    try {
      sequences.push(...encoder.encode(example));
      examples.push(example);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "data_invalid") throw error;
      refusals.push(error);
    }
  return { examples, sequences, refusals };
}

/** Prepares the run as `mosara train` does, and times a few of its steps. */
async function costOf(
  base: Base,
  config: TrainConfig,
  flags: ReturnType<typeof methodFlags>,
  [training, evaluation]: readonly [readonly Example[], readonly Example[]],
): Promise<MeasuredCost> {
  const data = { training, evaluation, trainingCorpus: null, evaluationCorpus: null };
  const run = await prepareRun(base, config, flags, data, (text) => process.stderr.write(`note: ${text}\n`));
  await using weights = await fileWeights(base);
  await using model = await openTrainModel(modelOptions(base, config, run, weights));
  if (run.plan) await initializeAdapter(run.plan, model.parameters, config.seed);
  else await initializeFull(base.source, model.parameters);
  const { schedule, options } = run;
  const batches = shuffledBatches(run.training.examples, config, config.seed);
  return await measureCost(model, batches, { ...options, steps: schedule.steps });
}
