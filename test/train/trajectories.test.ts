/**
 * The training loop against PyTorch's: every 20-step trajectory of the training fixtures, step by step, through the
 * trainer itself.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import type { BatchSource, TrainExample } from "../../src/train/data/batches.ts";
import { fitLength } from "../../src/train/data/fit-length.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import type { StepLine } from "../../src/train/step-log.ts";
import { openTrainModel } from "../../src/train/train-model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";
import { type Batch, batches, methodCases, openCase, parametersAt } from "../helpers/models/training-cases.ts";

interface Trajectory {
  readonly hyper: {
    readonly steps: number;
    readonly warmup: number;
    readonly peak_lr: number;
    readonly final_lr_share: number;
    readonly weight_decay: number;
    readonly clip: number;
  };
  readonly steps: readonly {
    readonly batch: number;
    readonly lr: number;
    readonly loss: number;
    readonly grad_norm: number;
  }[];
}

function examplesOf({ ids, mask }: Batch): readonly TrainExample[] {
  const examples = ids.map((row, i) => ({
    ids: Int32Array.from(row),
    lossMask: Uint8Array.from(mask[i] ?? []),
    numLossTokens: 0, // counted below
  }));
  return fitLength(examples, Math.max(...ids.map((row) => row.length)), "skip").examples;
}

describe.each(methodCases.map((one) => [one.slug, one] as const))("%s", (slug, one) => {
  const dir = join(fixturesDir("training"), "methods", slug);
  const { hyper, steps } = readJson<Trajectory>(dir, "trajectory.json");

  /** @param split micro-batches that every batch is taken apart into */
  async function train(split: boolean): Promise<{ lines: StepLine[]; final: (name: string) => Float32Array }> {
    await using open = await openCase(one);
    await using model = await openTrainModel({ ...open, weightsDir: open.folder, device: "cpu", numThreads: 1 });
    for (const [name, { data }] of Object.entries(await parametersAt(one, open, "init")))
      model.parameters.set(name, data as Float32Array);
    const source: BatchSource = {
      stepsPerEpoch: steps.length,
      at: (step) => {
        const examples = examplesOf(batches[steps[step]!.batch]!);
        return split ? examples.map((example) => [example]) : [examples];
      },
    };
    const { peak_lr: peak, warmup, final_lr_share: floor, weight_decay: weightDecay, clip } = hyper;
    const schedule = { peak, steps: hyper.steps, warmupSteps: warmup, floor };
    const options = {
      schedule,
      weightDecay,
      clip,
      trust: null,
      evaluation: [],
      evalEvery: 1,
      saveEvery: 1000,
      patience: null,
    };
    const trainer = new Trainer(model, source, options, INITIAL_STATE);
    const lines: StepLine[] = [];
    await trainer.run({
      log: (line) => void lines.push(line as StepLine),
      save: async () => {},
      shouldStop: () => false,
    });
    const values = model.parameters.values.slice();
    return { lines, final: (name) => model.parameters.tensor(name, values).data as Float32Array };
  }

  it.each([
    ["in one piece", false],
    ["accumulated from single rows", true],
  ])("takes PyTorch's steps to PyTorch's parameters, %s", async (_, split) => {
    const { lines, final } = await train(split);
    expect(lines).toHaveLength(steps.length);
    lines.forEach((line, t) => {
      const wanted = steps[t]!; // as many as lines
      expect(line.step).toBe(t + 1);
      expect(line.lr).toBeCloseTo(wanted.lr, 12);
      expect(Math.abs(line.loss - wanted.loss), `loss of step ${t}`).toBeLessThanOrEqual(1e-5);
      expect(Math.abs(line.gradNorm / wanted.grad_norm - 1), `gradient norm of step ${t}`).toBeLessThanOrEqual(2e-5);
    });
    await using expected = await openSafetensors(join(dir, "final.safetensors"));
    const differences: number[] = [];
    for (const name of Object.keys(one.trainable)) {
      const wanted = (await expected.read(name)).data as Float32Array;
      // Equal lengths: `set` checks them.
      final(name).forEach((value, i) => differences.push(Math.abs(value - wanted[i]!)));
    }
    differences.sort((a, b) => a - b);
    expect(differences.at(-1)).toBeLessThanOrEqual(2e-4);
    expect(differences[Math.floor(0.99 * differences.length)]).toBeLessThanOrEqual(2e-5);
  });
});
