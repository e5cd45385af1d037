/**
 * Preferences against TRL's DPOTrainer (scripts/reference/preferences.py): loss, metrics, gradients, and three steps.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TrainExample, TrainSequence } from "../../src/train/data/batches.ts";
import { Preferences } from "../../src/train/objective/preferences.ts";
import { computeReferences } from "../../src/train/objective/reference-pass.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import type { RewardMeasures, StepLine } from "../../src/train/step-log.ts";
import type { TrainModel } from "../../src/train/train-model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";
import { type GoldenRun, openGoldenRun } from "../helpers/models/golden-run.ts";

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

let run: GoldenRun;
let model: TrainModel;
const preferences = new Preferences(golden.beta);
beforeAll(async () => {
  run = await openGoldenRun(preferences, dir);
  model = run.model;
  await run.setAll("init");
  await computeReferences(model, preferences, pairs, 4, () => {});
});
afterAll(async () => await run[Symbol.asyncDispose]());

function expectMeasures(found: RewardMeasures, wanted: RewardMeasures, label: string): void {
  // A margin of zero has rounding of either sign: the reference was computed in other batches.
  const isTie = Math.abs(wanted["rewards/margins"]!) < 1e-6;
  for (const name of NAMES.filter((one) => !isTie || one !== "rewards/accuracies"))
    expect(Math.abs(found[name]! - wanted[name]!), `${label}: ${name}`).toBeLessThan(1e-5);
}

it("has TRL's loss, rewards and gradients at a point where no gradient is dead", async () => {
  await run.setAll("point");
  const { loss, measures } = await model.gradients(batchOf(0), golden.batch);
  expect(Math.abs(loss - golden.point.loss)).toBeLessThan(1e-5);
  expectMeasures(measures, golden.point, "point");
  await run.expectTensors("grad", model.parameters.gradients, 1e-5);
  const held = await model.sums(batchOf(0)); // the same without the gradient's graph
  expect(Math.abs(held.loss / golden.batch - golden.point.loss)).toBeLessThan(1e-5);
});

it("takes TRL's three steps, in one piece and accumulated from single pairs", async () => {
  for (const split of [false, true]) {
    await run.setAll("init");
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
    await run.expectTensors("final", model.parameters.values, 2e-4);
  }
});
