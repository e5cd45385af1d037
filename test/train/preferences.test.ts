/**
 * Preferences against TRL's DPOTrainer (scripts/reference/preferences.py): loss, metrics, gradients, and three steps.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import type { TrainExample, TrainSequence } from "../../src/train/data/batches.ts";
import { Preferences } from "../../src/train/objective/preferences.ts";
import { computeReferences } from "../../src/train/objective/reference-pass.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import type { RewardMeasures, StepLine } from "../../src/train/step-log.ts";
import { type TrainModel, openTrainModel } from "../../src/train/train-model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { maxAbs, maxAbsDifference } from "../helpers/allclose.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";
import { type OpenCase, methodCases, openCase, parametersAt } from "../helpers/models/training-cases.ts";

interface Golden {
  readonly beta: number;
  readonly lr: number;
  readonly steps: number;
  readonly batch: number;
  readonly pairs: readonly Record<"prompt_ids" | "chosen_ids" | "rejected_ids", readonly number[]>[];
  readonly point: RewardMeasures & { readonly loss: number };
  readonly steps_log: readonly (RewardMeasures & { readonly loss: number; readonly grad_norm: number })[];
}

const dir = join(fixturesDir("training"), "preferences");
const golden = readJson<Golden>(dir, "case.json");
const lora = methodCases.find(({ slug }) => slug === "lora")!;
const NAMES = ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"] as const;

const sequence = (prompt: readonly number[], answer: readonly number[]): TrainSequence => ({
  ids: Int32Array.from([...prompt, ...answer]),
  lossMask: Uint8Array.from([...prompt.map(() => 0), ...answer.map(() => 1)]),
  numLossTokens: answer.length,
});
const pairs = golden.pairs.map(({ prompt_ids: prompt, chosen_ids: chosen, rejected_ids: rejected }): TrainExample => ({
  ...sequence(prompt, chosen),
  rejected: sequence(prompt, rejected),
}));
const batchOf = (step: number): readonly TrainExample[] => pairs.slice(step * golden.batch, (step + 1) * golden.batch);

let open: OpenCase;
let model: TrainModel;
const preferences = new Preferences(golden.beta);
const values = await openSafetensors(join(dir, "values.safetensors"));
beforeAll(async () => {
  open = await openCase(lora);
  model = await openTrainModel({
    ...open,
    objective: preferences,
    weightsDir: open.folder,
    device: "cpu",
    numThreads: 1,
  });
  await setAll("init");
  await computeReferences(model, preferences, pairs, 4, () => {});
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
  await open[Symbol.asyncDispose]();
  await values[Symbol.asyncDispose]();
});

async function setAll(at: "init" | "point"): Promise<void> {
  for (const [name, { data }] of Object.entries(await parametersAt(lora, open, at)))
    model.parameters.set(name, data as Float32Array);
}

function expectMeasures(found: RewardMeasures, wanted: RewardMeasures, label: string): void {
  // A margin of zero has rounding of either sign: the reference was computed in other batches.
  const isTie = Math.abs(wanted["rewards/margins"]!) < 1e-6;
  for (const name of NAMES.filter((one) => !isTie || one !== "rewards/accuracies"))
    expect(Math.abs(found[name]! - wanted[name]!), `${label}: ${name}`).toBeLessThan(1e-5);
}

async function expectTensors(prefix: string, flat: Float32Array, tolerance: number): Promise<void> {
  for (const name of model.parameters.names) {
    const [found, wanted] = [model.parameters.tensor(name, flat).data, (await values.read(`${prefix}.${name}`)).data];
    const [a, b] = [found, wanted].map((data) => Array.from(data as Float32Array));
    expect(maxAbsDifference(a!, b!) / Math.max(1e-3, maxAbs(b!)), `${prefix} of ${name}`).toBeLessThan(tolerance);
  }
}

it("has TRL's loss, rewards and gradients at a point where no gradient is dead", async () => {
  await setAll("point");
  const { loss, measures } = await model.gradients(batchOf(0), golden.batch);
  expect(Math.abs(loss - golden.point.loss)).toBeLessThan(1e-5);
  expectMeasures(measures, golden.point, "point");
  await expectTensors("grad", model.parameters.gradients, 1e-5);
  const held = await model.sums(batchOf(0)); // the same without the gradient's graph
  expect(Math.abs(held.loss / golden.batch - golden.point.loss)).toBeLessThan(1e-5);
});

it("takes TRL's three steps, in one piece and accumulated from single pairs", async () => {
  for (const split of [false, true]) {
    await setAll("init");
    const schedule = { peak: golden.lr, steps: golden.steps, warmupSteps: 0, floor: 1 };
    const others = { weightDecay: 0, clip: 1, trust: null, evaluation: [], evalEvery: 1, saveEvery: 9, patience: null };
    const at = (step: number) => (split ? batchOf(step).map((pair) => [pair]) : [batchOf(step)]);
    const trainer = new Trainer(model, { stepsPerEpoch: golden.steps, at }, { schedule, ...others }, INITIAL_STATE);
    const lines: StepLine[] = [];
    await trainer.run({
      log: (line) => void lines.push(line as StepLine),
      save: async () => {},
      shouldStop: () => false,
    });
    golden.steps_log.forEach((wanted, step) => {
      const found = lines[step]!; // as many
      expect(Math.abs(found.loss - wanted.loss), `loss of step ${step}`).toBeLessThan(1e-5);
      expect(Math.abs(found.gradNorm / wanted.grad_norm - 1), `norm of step ${step}`).toBeLessThan(1e-4);
      expectMeasures(found, wanted, `step ${step}`);
    });
    // Adam divides tiny gradients by their own size, so float32's last bits show: the fixtures' README allows 2e-4.
    await expectTensors("final", model.parameters.values, 2e-4);
  }
});
