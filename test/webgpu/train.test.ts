/**
 * Training on a device that lacks its operators is refused before anything is opened; no device is needed to be told.
 */
import { expect, it } from "vitest";
import { openBase } from "../../src/base/base.ts";
import { openTrainModel } from "../../src/train/train-model.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { modelCases } from "../helpers/fixtures.ts";

it("refuses to train on webgpu, naming the operators that are missing", async () => {
  const [first] = modelCases();
  await using base = await openBase(await builtBase(first!.dir)); // there is a case
  const { config } = base.manifest;
  const options = {
    config,
    source: base.source,
    trained: { kind: "full" },
    maxPositions: 16,
    weightsDir: base.dir,
  } as const;
  await expect(openTrainModel({ ...options, device: "webgpu", numThreads: 1 })).rejects.toMatchObject({
    code: "device_unavailable",
    message: expect.stringMatching(/FusedMatMul.*--device cpu/),
  });
});
