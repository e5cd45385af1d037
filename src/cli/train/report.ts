/** `mosara train --report`: collects the results of a finished run and writes them as one HTML file. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, resolve } from "node:path";
import type { Base } from "../../base/base.ts";
import { mergeByMeanGate } from "../../base/merge/mean-gate.ts";
import { AppError } from "../../errors.ts";
import { replaceFile } from "../../replace-file.ts";
import { toFloat32 } from "../../tensor/host-tensor.ts";
import { significant } from "../../report/charts/numbers.ts";
import { layerReports } from "../../report/sections/layer-moves.ts";
import { renderReport } from "../../report/render-report.ts";
import type { Fact, GateReport, LayerReport, ReportData } from "../../report/report-data.ts";
import { readStepLog } from "../../train/step-log.ts";
import { adapterOf } from "../../train/trained-adapter.ts";
import type { Trainer } from "../../train/trainer.ts";
import { commandText } from "./command-text.ts";
import { MAX_ANSWER_TOKENS, type SampleSource, collectSamples } from "./samples.ts";
import type { ExampleSet, ReadData } from "../../train/data/run-data.ts";
import type { TrainConfig } from "./flags.ts";
import type { OutputPaths } from "./output.ts";
import type { TrainResult } from "./result.ts";
import type { TrainObjective } from "../../train/method-settings.ts";
import type { Run } from "../../train/run.ts";

/** Number of tokens for mean gates: enough for two digits. */
const GATE_TOKENS = 4096;

/** A finished run. */
export interface ReportSources {
  readonly config: TrainConfig;
  readonly base: Base;
  readonly run: Run;
  readonly data: ReadData;
  readonly trainer: Trainer;
  /** The trained numbers before the first step. */
  readonly initial: Float32Array;
  readonly result: TrainResult;
  readonly paths: OutputPaths;
}

/** Checks before training that the report can be written. @throws {AppError} usage */
export async function assertReportWritable(path: string): Promise<void> {
  const full = resolve(path);
  const found = await stat(full).catch(() => null);
  const fail = (reason: string, cause?: unknown): never => {
    throw new AppError("usage", `--report ${path}: ${reason}`, { cause });
  };
  if (found?.isDirectory()) fail("this is a directory. Name an .html file.");
  const parent = dirname(full);
  if (!(await stat(parent).catch(() => null))?.isDirectory()) fail(`there is no directory ${parent}. Create it first.`);
  await access(parent, constants.W_OK).catch((cause: unknown) =>
    fail(`${parent} cannot be written. Name another directory.`, cause),
  );
}

/**
 * Writes the report to `path`, completely or not at all. Parts that cannot be made are left out, and the report says
 * why.
 * @param onNotice receives the same reasons
 * @throws {AppError} training_failed where the file cannot be written
 */
export async function writeReport(
  path: string,
  sources: ReportSources,
  onNotice: (text: string) => void,
): Promise<void> {
  const html = renderReport(await gather(sources, onNotice));
  try {
    await replaceFile(resolve(path), html);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new AppError(
      "training_failed",
      `${path} could not be written: ${reason}. The result is in ${sources.paths.out}. Run the same command with --resume to write the report.`,
      { cause },
    );
  }
}

async function gather(sources: ReportSources, onNotice: (text: string) => void): Promise<ReportData> {
  const { config, base, run, trainer, result, paths } = sources;
  const notes: string[] = [];
  const orNote = async <T>(what: string, otherwise: T, make: () => Promise<T>): Promise<T> => {
    try {
      return await make();
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      notes.push(`${what} could not be made: ${error.message}`);
      onNotice(`the report has no ${what.toLowerCase()}: ${error.message}`);
      return otherwise;
    }
  };
  const gates = await orNote("Router usage", null, () => gateReport(sources));
  const samples = await orNote("Samples", [], () =>
    collectSamples(sampleSource(sources), {
      baseDir: base.dir,
      maxPositions: base.manifest.config.maxPositions,
      out: paths.out,
      method: run.flags.method,
      device: config.device,
      threads: config.threads ?? availableParallelism(),
    }),
  );
  return {
    title: basename(paths.out),
    method: run.flags.method,
    command: commandText("train", config),
    headline: {
      ...result,
      bestStep: trainer.state.best?.step ?? null,
      plannedSteps: run.schedule.steps,
      numBaseParams: run.plan ? base.manifest.parameters : null,
    },
    facts: factsOf(sources),
    log: readStepLog(paths.log),
    clip: run.options.clip,
    layers: await reportedLayers(sources),
    gates,
    samples,
    maxAnswerTokens: MAX_ANSWER_TOKENS,
    notes,
  };
}

/** Held-out data if there is any, otherwise training data. */
function sampleSource({ data, run }: ReportSources): SampleSource {
  const examples = run.evaluation ? data.evaluation : data.training;
  return examples.length > 0 ? { examples } : { windows: (run.evaluation ?? run.training).examples };
}

async function reportedLayers({ base, run, trainer, initial }: ReportSources): Promise<readonly LayerReport[]> {
  const { parameters } = trainer.model;
  const spectra = new Map<string, Float32Array>();
  if (run.plan && run.flags.method !== "lora")
    for (const { name } of base.manifest.targets)
      spectra.set(name, toFloat32((await base.readBasis(name)).singularValues)); // one at a time: memory stays bounded
  const ranks = new Map(run.plan?.layers.map(({ name, k }) => [name, k]));
  return layerReports(parameters, initial, trainer.resultValues, (layer) => ({
    k: ranks.get(layer) ?? null,
    singularValues: spectra.get(layer) ?? null,
  }));
}

/** null without a router. */
async function gateReport({ base, config, run, trainer }: ReportSources): Promise<GateReport | null> {
  if (!run.plan || run.plan.heads === 1) return null;
  const { parameters } = trainer.model;
  const values = trainer.resultValues;
  const adapter = adapterOf(run.plan, base.manifest.baseId, parameters, values, { endTokenIds: [], card: {} });
  const sequences: Int32Array[] = [];
  let length = 0;
  for (const { ids } of (run.evaluation ?? run.training).examples) {
    if (length >= GATE_TOKENS) break;
    sequences.push(ids);
    length += ids.length;
  }
  const threads = config.threads ?? availableParallelism();
  const { meanGates, tokens } = await mergeByMeanGate(base, adapter, sequences, threads);
  return { meanGates, tokens, source: run.evaluation ? "held-out examples" : "training examples" };
}

function factsOf({ config, base, run, result }: ReportSources): readonly Fact[] {
  const { flags, plan, schedule, options, training, evaluation } = run;
  const heads = flags.heads === 1 ? "" : `, ${flags.heads} heads, ${flags.router} router`;
  const rank = flags.rank === null ? "" : `, rank ${flags.rank}, alpha ${flags.alpha ?? ""}`;
  const rows: readonly (readonly [name: string, value: string | null])[] = [
    ["method", `${flags.method}${heads}${rank}`],
    ["objective", objectiveText(flags.objective)],
    ["grader", run.grader],
    ["layers", plan ? `${plan.layers.length}: ${modulesOf(plan.layers)}` : null],
    ["base", `${base.manifest.architecture}, ${base.manifest.baseId}`],
    ["generation", result.generation],
    ["training data", dataText(training)],
    ["held-out data", evaluation ? dataText(evaluation) : "none"],
    ["batch", `${config.batchSize} examples${config.accumulate === 1 ? "" : ` × ${config.accumulate} accumulated`}`],
    ["longest example", `${run.maxLength} tokens, longer ones: ${config.overlong}`],
    [
      "learning rate",
      `${significant(schedule.peak)} after ${schedule.warmupSteps} steps of warm-up, then a cosine to ${significant(schedule.peak * schedule.floor)}`,
    ],
    ["weight decay", significant(options.weightDecay)],
    ["gradient clipping", options.clip === null ? "none" : `norm ${significant(options.clip)}`],
    ["seed", String(config.seed)],
  ];
  return rows.flatMap(([name, value]) => (value === null ? [] : [{ name, value }]));
}

function objectiveText(objective: TrainObjective): string | null {
  switch (objective.kind) {
    case "sft":
      return null;
    case "dpo":
      return `preferences (dpo), beta ${significant(objective.beta)}`;
    case "reward":
      return `rewards, ${objective.groupSize} answers of at most ${objective.maxAnswerTokens} tokens to each prompt`;
  }
}

function modulesOf(layers: readonly { readonly name: string }[]): string {
  return [...new Set(layers.map(({ name }) => name.split(".").at(-1)))].join(", ");
}

function dataText({ examples, numTokens, numLossTokens, sha256 }: ExampleSet): string {
  const [all, counted] = [numTokens.toLocaleString("en-US"), numLossTokens.toLocaleString("en-US")];
  return `${examples.length.toLocaleString("en-US")} examples, ${all} tokens, ${counted} of them predicted; SHA-256 ${sha256.slice(0, 16)}`;
}
