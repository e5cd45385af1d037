/**
 * A process that takes training steps on request, with the trainer, the model and the optimiser of `mosara train`. Its
 * only argument is the job file. A line on stdin is a number of steps to take. A line on stdout reports their cost.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { tensorSource } from "../../src/base/base.ts";
import { type SafetensorsFile, openSafetensors } from "../../src/formats/safetensors.ts";
import { toFloat32 } from "../../src/tensor/host-tensor.ts";
import { rowLength } from "../../src/train/data/layout.ts";
import type { FlatParameters } from "../../src/train/flat-parameters.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import { openTrainModel } from "../../src/train/train-model.ts";
import { type AdapterPlan, trainedOf } from "../../src/train/trained-adapter.ts";
import { initializeFull } from "../../src/train/trained-checkpoint.ts";
import { Trainer } from "../../src/train/trainer.ts";
import type { StepTurn } from "./step-process.ts";
import { type JobAdapter, type TrainJob, jobTargets, readModelConfig } from "./train-job.ts";

const job = JSON.parse(await readFile(process.argv[2] ?? "", "utf8")) as TrainJob;
const config = await readModelConfig(job.dir);
const weights = await openSafetensors(join(job.dir, job.weightsFile));
const adapter = job.adapterFile === null ? null : await openSafetensors(join(job.dir, job.adapterFile));
const source = tensorSource(weights, job.weightsFile);
const examples = job.examples.map(({ ids, lossMask }) => ({
  ids: Int32Array.from(ids),
  lossMask: Uint8Array.from(lossMask),
  numLossTokens: lossMask.slice(1).reduce((sum, wanted) => sum + wanted, 0),
}));

await using model = await openTrainModel({
  config,
  source,
  trained: job.adapter && adapter ? trainedOf(planOf(job.adapter, adapter)) : { kind: "full" },
  maxPositions: rowLength(examples[0]?.ids.length ?? 1),
  weightsDir: job.dir,
  device: "cpu",
  numThreads: job.numThreads,
});
if (adapter) await initialize(adapter, model.parameters);
else await initializeFull(source, model.parameters);

const { learningRate: peak, weightDecay, clip } = job;
const trainer = new Trainer(
  model,
  { stepsPerEpoch: 1, at: () => [examples] },
  {
    schedule: { peak, steps: Number.MAX_SAFE_INTEGER, warmupSteps: 0, floor: 1 },
    weightDecay,
    clip,
    trust: null,
    evaluation: [],
    evalEvery: Number.MAX_SAFE_INTEGER,
    saveEvery: Number.MAX_SAFE_INTEGER,
    patience: null,
  },
  INITIAL_STATE,
);
for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await turn(Number(line)))}\n`);

async function turn(numSteps: number): Promise<StepTurn> {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const losses: number[] = [];
  for (let step = 0; step < numSteps; step++) losses.push((await trainer.step()).loss);
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: (user + system) / 1e6,
    losses,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** One head on q and v, its bases in the adapter file. */
function planOf({ method, rank }: JobAdapter, file: SafetensorsFile): AdapterPlan {
  const tensors = tensorSource(file, job.adapterFile ?? "");
  const layers = jobTargets(config).map(({ name, dIn, dOut }) => {
    if (method === "lora") return { name, dIn, dOut, k: rank };
    const stored = { basisId: "", left: tensors.stored(`${name}.U`), right: tensors.stored(`${name}.V`) };
    return { name, dIn, dOut, k: rank, stored };
  });
  return { method, heads: 1, router: "none", layers };
}

async function initialize(file: SafetensorsFile, parameters: FlatParameters): Promise<void> {
  for (const name of parameters.names) parameters.set(name, toFloat32(await file.read(name)));
}
