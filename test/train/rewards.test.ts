/** Rewards against TRL's GRPOTrainer (scripts/reference/rewards.py): advantages, loss, gradients, and three steps. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import type { MicroBatch, TrainExample } from "../../src/train/data/batches.ts";
import { Rewards, advantagesOf } from "../../src/train/objective/rewards.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import { type TrainModel, openTrainModel } from "../../src/train/train-model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { maxAbs, maxAbsDifference } from "../helpers/allclose.ts";
import { REWARDS_GOLDEN, readJson } from "../helpers/fixtures.ts";
import { type OpenCase, methodCases, openCase, parametersAt } from "../helpers/models/training-cases.ts";

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
const lora = methodCases.find(({ slug }) => slug === "lora")!;

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

let open: OpenCase;
let model: TrainModel;
const values = await openSafetensors(join(REWARDS_GOLDEN, "values.safetensors"));
beforeAll(async () => {
  open = await openCase(lora);
  const objective = new Rewards(golden.clip);
  model = await openTrainModel({ ...open, objective, weightsDir: open.folder, device: "cpu", numThreads: 1 });
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

async function expectTensors(prefix: string, flat: Float32Array, tolerance: number): Promise<void> {
  for (const name of model.parameters.names) {
    const [found, wanted] = [model.parameters.tensor(name, flat).data, (await values.read(`${prefix}.${name}`)).data];
    const [a, b] = [found, wanted].map((data) => Array.from(data as Float32Array));
    expect(maxAbsDifference(a!, b!) / Math.max(1e-3, maxAbs(b!)), `${prefix} of ${name}`).toBeLessThan(tolerance);
  }
}

it("has TRL's loss and gradients at a point where many tokens are clipped", async () => {
  await setAll("point");
  const batch = batchesOf(golden.point).flat();
  const weight = model.weightOf(batch);
  const { loss } = await model.gradients(batch, weight);
  expect(Math.abs(loss - golden.point.loss)).toBeLessThan(1e-5);
  await expectTensors("grad", model.parameters.gradients, 1e-5);
  const held = await model.sums(batch); // the same without the gradient's graph
  expect(Math.abs(held.loss / weight - golden.point.loss)).toBeLessThan(1e-5);
});

it("takes TRL's three steps, in one piece and accumulated from groups", async () => {
  for (const isSplit of [false, true]) {
    await setAll("init");
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
    await expectTensors("final", model.parameters.values, 2e-4);
  }
});

it("has no gradient where all rewards of a group are equal", () => {
  const third = 1 / 3; // the mean of three of them is rounded
  expect(advantagesOf([third, third, third])).toEqual([0, 0, 0]);
});
