/** Rewards against TRL's GRPOTrainer (scripts/reference/rewards.py): advantages, loss, gradients, and three steps. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { MicroBatch, TrainExample } from "../../src/train/data/batches.ts";
import { Rewards, advantagesOf } from "../../src/train/objective/rewards.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import type { TrainModel } from "../../src/train/train-model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { REWARDS_GOLDEN, readJson } from "../helpers/fixtures.ts";
import { type GoldenRun, openGoldenRun } from "../helpers/models/golden-run.ts";

interface GoldenStep {
  readonly groups: readonly {
    readonly prompt_ids: readonly number[];
    readonly answers: readonly (readonly number[])[];
    readonly rewards: readonly number[];
    readonly logprobs: readonly (readonly number[])[];
  }[];
  readonly loss: number;
}
interface Golden {
  readonly clip: number;
  readonly lr: number;
  readonly point: GoldenStep;
  readonly steps: readonly (GoldenStep & { readonly grad_norm: number })[];
}

const golden = readJson<Golden>(REWARDS_GOLDEN, "case.json");

/** A micro-batch for each group. */
const batchesOf = ({ groups }: GoldenStep): readonly MicroBatch[] =>
  groups.map(({ prompt_ids: prompt, answers, rewards, logprobs }) => {
    const advantages = advantagesOf(rewards);
    return answers.map((answer, i): TrainExample => ({
      ids: Int32Array.from([...prompt, ...answer]),
      lossMask: Uint8Array.from([...prompt.map(() => 0), ...answer.map(() => 1)]),
      numLossTokens: answer.length,
      rollout: { advantage: advantages[i]!, logprobs: Float32Array.from(logprobs[i]!) },
    }));
  });

let run: GoldenRun;
let model: TrainModel;
beforeAll(async () => {
  run = await openGoldenRun(new Rewards(golden.clip), REWARDS_GOLDEN);
  model = run.model;
});
afterAll(async () => await run[Symbol.asyncDispose]());

it("has TRL's loss and gradients at a point where many tokens are clipped", async () => {
  await run.setAll("point");
  const batch = batchesOf(golden.point).flat();
  const weight = model.weightOf(batch);
  const { loss } = await model.gradients(batch, weight);
  expect(Math.abs(loss - golden.point.loss)).toBeLessThan(1e-5);
  await run.expectTensors("grad", model.parameters.gradients, 1e-5);
  const held = await model.sums(batch); // the same without the gradient's graph
  expect(Math.abs(held.loss / weight - golden.point.loss)).toBeLessThan(1e-5);
});

it("takes TRL's three steps, in one piece and accumulated from groups", async () => {
  for (const isSplit of [false, true]) {
    await run.setAll("init");
    const schedule = { peak: golden.lr, steps: golden.steps.length, warmupSteps: 0, floor: 1 };
    const others = { weightDecay: 0, clip: 1, trust: null, evaluation: [], evalEvery: 1, saveEvery: 9, patience: null };
    const at = (step: number): readonly MicroBatch[] => {
      const groups = batchesOf(golden.steps[step]!);
      return isSplit ? groups : [groups.flat()];
    };
    const source = { stepsPerEpoch: golden.steps.length, at };
    const trainer = new Trainer(model, source, { schedule, ...others }, INITIAL_STATE);
    for (const wanted of golden.steps) {
      const { loss, gradNorm } = await trainer.step();
      expect(Math.abs(loss - wanted.loss)).toBeLessThan(1e-5);
      expect(Math.abs(gradNorm / wanted.grad_norm - 1)).toBeLessThan(1e-4);
    }
    // Adam divides tiny gradients by their own size, so float32's last bits show: the fixtures' README allows 2e-4.
    await run.expectTensors("final", model.parameters.values, 2e-4);
  }
});

it("has no gradient where all rewards of a group are equal", () => {
  const third = 1 / 3; // the mean of three of them is rounded
  expect(advantagesOf([third, third, third])).toEqual([0, 0, 0]);
});
