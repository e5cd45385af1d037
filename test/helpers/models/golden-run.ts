/** A run of the LoRA case under an objective, compared with tensors that TRL computed on the same case. */
import { join } from "node:path";
import { expect } from "vitest";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import type { Objective } from "../../../src/train/objective/objective.ts";
import { type TrainModel, openTrainModel } from "../../../src/train/train-model.ts";
import { maxAbs, maxAbsDifference } from "../allclose.ts";
import { methodCases, openCase, parametersAt } from "./training-cases.ts";

export interface GoldenRun extends AsyncDisposable {
  readonly model: TrainModel;
  /** Gives every trained tensor its value at a named point of the fixture. */
  setAll(at: "init" | "point"): Promise<void>;
  /** Compares a flat buffer with TRL's tensors `<prefix>.<name>`, relative to the largest number of each. */
  expectTensors(prefix: string, flat: Float32Array, tolerance: number): Promise<void>;
}

/** @param folder has TRL's tensors in values.safetensors */
export async function openGoldenRun(objective: Objective, folder: string): Promise<GoldenRun> {
  const lora = methodCases.find(({ slug }) => slug === "lora")!;
  const values = await openSafetensors(join(folder, "values.safetensors"));
  const open = await openCase(lora);
  const model = await openTrainModel({ ...open, objective, weightsDir: open.folder, device: "cpu", numThreads: 1 });
  return {
    model,
    async setAll(at) {
      for (const [name, { data }] of Object.entries(await parametersAt(lora, open, at)))
        model.parameters.set(name, data as Float32Array);
    },
    async expectTensors(prefix, flat, tolerance) {
      for (const name of model.parameters.names) {
        const [found, wanted] = [
          model.parameters.tensor(name, flat).data,
          (await values.read(`${prefix}.${name}`)).data,
        ];
        const [a, b] = [found, wanted].map((data) => Array.from(data as Float32Array));
        expect(maxAbsDifference(a!, b!) / Math.max(1e-3, maxAbs(b!)), `${prefix} of ${name}`).toBeLessThan(tolerance);
      }
    },
    async [Symbol.asyncDispose]() {
      await model[Symbol.asyncDispose]();
      await open[Symbol.asyncDispose]();
      await values[Symbol.asyncDispose]();
    },
  };
}
