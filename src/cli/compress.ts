/**
 * `mosara compress`: makes the Mo-SARA adapter that is closest to a LoRA. Its numbers are first projected, layer by
 * layer, on the inputs that the layers see. Then they learn the LoRA's own distributions.
 */
import { realpath, stat } from "node:fs/promises";
import { parse } from "node:path";
import { DEFAULT_MAX_ADAPTER_BYTES, decodeAdapter } from "../adapter/adapter-file.ts";
import { type Adapter, assertFits, numParams } from "../adapter/adapter.ts";
import type { Base } from "../base/base.ts";
import { fileWeights } from "../base/file-weights.ts";
import type { ConfigOf } from "../config/commands.ts";
import { parseCommand } from "../config/parse.ts";
import { AppError } from "../errors.ts";
import { readPeftFiles } from "../store/directory/directory-files.ts";
import { meanLabelLoss, meanLoss } from "../train/distill/label-losses.ts";
import { projectAdapter } from "../train/distill/project-adapter.ts";
import { openTeacher } from "../train/distill/teacher.ts";
import { SUPERVISED } from "../train/objective/objective.ts";
import { readData } from "../train/data/run-data.ts";
import { type Run, prepareRun } from "../train/run.ts";
import { INITIAL_STATE } from "../train/run-state.ts";
import { openTrainModel } from "../train/train-model.ts";
import { adapterOf, initializeAdapter } from "../train/trained-adapter.ts";
import { Trainer } from "../train/trainer.ts";
import { type CompressResult, type Fidelity, compressText } from "./compress/result-text.ts";
import { locateAdapter } from "./shared/locate-model.ts";
import { peftConverter } from "./shared/peft-converter.ts";
import { readAdapter } from "./shared/read-adapter.ts";
import { type TrainConfig, methodFlags } from "./train/flags.ts";
import { modelOptions, openTrainingBase } from "./train/open-training.ts";
import { assertWritable, outputPaths, writeAdapter } from "./train/output.ts";
import { TrainProgress } from "./train/progress.ts";

type CompressConfig = ConfigOf<"compress">;

/** Without --eval, every tenth example is held out. */
const HELD_OUT_EVERY = 10;
/** Examples whose inputs the projection reads. Their moments hardly change with more. */
const PROJECTED_EXAMPLES = 64;

/** @returns the exit code. @throws {AppError} */
export async function compressLora(config: CompressConfig): Promise<number> {
  const start = performance.now();
  const training = asTraining(config);
  const paths = outputPaths(config.out);
  await assertWritable(paths, false, true);
  const data = await readData(config.data, config.eval, false);
  await using base = await openTrainingBase(training);
  const original = await readOriginal(config.positionals[0] ?? "", base);
  const held = config.eval.length > 0 ? data : withHeldOut(data);
  const run = await prepareRun(base, training, methodFlags(training), held, notice);
  const made = await distill(base, original, training, run);
  const extras = { endTokenIds: original.endTokenIds ?? run.training.endTokenIds, card: made.card };
  const adapter = adapterOf(made.plan, base.manifest.baseId, made.parameters, made.values, extras);
  const { generation, bytes } = await writeAdapter(paths, adapter);
  const result: CompressResult = {
    out: paths.out,
    generation,
    numParams: numParams(adapter),
    bytes,
    originalParams: numParams(original),
    ...made.fidelity,
    seconds: (performance.now() - start) / 1000,
  };
  if (result.klCompressed >= result.klBase)
    notice("the compressed adapter is no closer to the original than the base is. Give more --data or --targets.");
  process.stdout.write(config.json ? `${JSON.stringify(result)}\n` : compressText(result));
  return 0;
}

function notice(text: string): void {
  process.stderr.write(`note: ${text}\n`);
}

/** The flags of `mosara train`, because the distillation is a training run. */
function asTraining(config: CompressConfig): TrainConfig {
  const needed = ["--model", config.model, "--out", config.out, "--data", ...config.data];
  return {
    ...parseCommand("train", needed, {}),
    ...config,
    data: [...config.data],
    method: "mo-sara",
    positionals: [],
  };
}

function withHeldOut(data: Awaited<ReturnType<typeof readData>>): typeof data {
  const isHeld = (_: unknown, i: number): boolean => i % HELD_OUT_EVERY === HELD_OUT_EVERY - 1;
  const evaluation = data.training.filter(isHeld);
  if (evaluation.length === 0)
    throw new AppError(
      "data_invalid",
      `${data.training.length} examples are too few to hold one out. Give at least ${HELD_OUT_EVERY}, or --eval.`,
    );
  return { ...data, training: data.training.filter((one, i) => !isHeld(one, i)), evaluation };
}

/** The adapter of a PEFT directory, or of a .mosara file. @throws {AppError} usage for adapters with heads and bases */
async function readOriginal(path: string, base: Base): Promise<Adapter> {
  const isFile = (await stat(path).catch(() => null))?.isFile() === true;
  const adapter = isFile ? (await readAdapter(path)).adapter : await readPeft(path, base);
  if (adapter.method === "mo-sara")
    throw new AppError("usage", `${path} is a Mo-SARA adapter already. Name a LoRA or SARA adapter.`);
  assertFits(adapter, base.signature);
  return adapter;
}

async function readPeft(path: string, base: Base): Promise<Adapter> {
  const found = await locateAdapter(path);
  if (found === null)
    throw new AppError(
      "usage",
      `There is no ${path}. Name a PEFT adapter's directory, its repository on the Hub, or a .mosara file.`,
    );
  const dir = await realpath(found);
  const files = await readPeftFiles(parse(dir).root, dir, DEFAULT_MAX_ADAPTER_BYTES);
  return decodeAdapter(await peftConverter(base, (_, text) => notice(`${text}.`))(files));
}

async function distill(base: Base, original: Adapter, config: TrainConfig, run: Run) {
  const { plan } = run;
  if (plan === null) throw new Error("internal: no adapter to train");
  await using weights = await fileWeights(base);
  const options = modelOptions(base, config, run, SUPERVISED, weights);
  await using teacher = await openTeacher(options, original, plan.layers);
  const teacherLogits = async (batch: Parameters<typeof teacher.answer>[0]) => (await teacher.answer(batch)).logits;
  await using model = await openTrainModel({ ...options, teacherLogits });
  const { parameters } = model;
  const units = await initializeAdapter(plan, parameters, config.seed);
  const trainer = new Trainer(model, run.batches, run.options, INITIAL_STATE, units);
  const { evaluation: held } = run.options;
  const klBase = (await trainer.evaluate()).loss;
  const lossBase = await meanLabelLoss(options, parameters, held);
  await projectAdapter(plan, parameters, await teacher.moments(run.training.examples.slice(0, PROJECTED_EXAMPLES)));
  const klProjected = (await trainer.evaluate()).loss;
  const projected = parameters.values.slice();
  const progress = new TrainProgress(run.schedule.steps);
  const ports = { log: progress.update.bind(progress), save: async () => {}, shouldStop: () => false };
  await trainer.run(ports).finally(() => progress.end());
  const klDistilled = trainer.state.best?.evalLoss ?? Infinity;
  const values = klDistilled < klProjected ? trainer.resultValues : projected;
  parameters.values.set(values);
  const fidelity: Fidelity = {
    klBase,
    klProjected,
    klCompressed: Math.min(klDistilled, klProjected),
    lossBase,
    lossOriginal: await meanLoss(held, async (batch) => (await teacher.answer(batch)).losses),
    lossCompressed: await meanLabelLoss(options, parameters, held),
  };
  const card = {
    method: "mo-sara",
    compressedFrom: original.method,
    steps: trainer.state.step,
    scores: { ...fidelity },
  };
  return { plan, parameters, values, fidelity, card };
}
