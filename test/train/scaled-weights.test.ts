/**
 * A model whose layers are scaled and whose next layers are scaled by the inverse computes the same, and so it must
 * train: the default rate held on the demo's singular values alone. Real training of the shipped demo and of the demo
 * so scaled. Needs dist/.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBase } from "../../src/base/base.ts";
import { methodFlags } from "../../src/cli/train/flags.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { parseCommand } from "../../src/config/parse.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { hostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { readData } from "../../src/train/data/run-data.ts";
import { INITIAL_STATE } from "../../src/train/run-state.ts";
import { prepareRun } from "../../src/train/run.ts";
import { openTrainModel } from "../../src/train/train-model.ts";
import { initializeAdapter, trainedOf } from "../../src/train/trained-adapter.ts";
import { Trainer } from "../../src/train/trainer.ts";

const DEMO = join(packageRoot(), "models", "demo");
const dir = mkdtempSync(join(tmpdir(), "mosara-scaled-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const data = join(dir, "data.jsonl");
const example = (i: number): string => JSON.stringify({ prompt: `Number ${i}`, completion: ` and one is ${i + 1}.` });
writeFileSync(data, Array.from({ length: 24 }, (_, i) => `${example(i)}\n`).join(""));

/** A power of two, so that no weight is rounded. */
const SCALE = 256;
const STEPS = 24;

/** The demo with the values of attention scaled down and their way out scaled up, built with bases of both. */
async function scaledDemo(scale: number): Promise<string> {
  const [checkpoint, out] = [join(dir, `checkpoint-${scale}`), join(dir, `base-${scale}`)];
  const left = /(mosara\.json|\.md|\.onnx|\.weights|bases\.safetensors)$/;
  cpSync(DEMO, checkpoint, { recursive: true, filter: (path) => !left.test(path) });
  await using file = await openSafetensors(join(checkpoint, "weights.safetensors"));
  const specs = [...file.tensors].map(([name, { shape }]) => ({ name, dtype: "float32" as const, shape }));
  const factorOf = (name: string): number =>
    name.includes("v_proj") ? 1 / scale : name.endsWith("o_proj.weight") ? scale : 1;
  await writeSafetensors(join(checkpoint, "model.safetensors"), specs, async (name) => {
    const tensor = await file.read(name);
    const values = toFloat32(tensor).map((value) => value * factorOf(name));
    return hostTensor("float32", tensor.shape, values);
  });
  rmSync(join(checkpoint, "weights.safetensors"));
  const flags = ["--targets", "v_proj,o_proj", "--weights", "float32", "--json"];
  const main = join(packageRoot(), "dist", "mosara", "main.js"); // its SVD threads are compiled files
  const { status, stderr } = spawnSync(process.execPath, [main, "build", checkpoint, "--out", out, ...flags], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return out;
}

let bases: { readonly plain: string; readonly scaled: string };
beforeAll(async () => {
  bases = { plain: await scaledDemo(1), scaled: await scaledDemo(SCALE) };
}, 300_000);

/** Losses of the default settings' steps. @param hasUnits without them λ moves by the rate itself */
async function losses(baseDir: string, hasUnits: boolean, more: readonly string[] = []): Promise<readonly number[]> {
  const files = ["--model", baseDir, "--data", data, "--out", join(dir, "unused.mosara")];
  const config = parseCommand("train", [...files, "--steps", `${STEPS}`, "--seed", "3", ...more], {});
  await using base = await openBase(baseDir);
  const run = await prepareRun(base, config, methodFlags(config), await readData([data], [], false), () => {});
  await using model = await openTrainModel({
    config: base.manifest.config,
    source: base.source,
    trained: trainedOf(run.plan!), // an adapter's run
    maxPositions: 64,
    weightsDir: base.dir,
    device: "cpu",
    numThreads: 1,
  });
  const units = await initializeAdapter(run.plan!, model.parameters, config.seed);
  const trainer = new Trainer(model, run.batches, run.options, INITIAL_STATE, hasUnits ? units : null);
  const found: number[] = [];
  for (let step = 0; step < STEPS; step++) found.push((await trainer.step()).loss);
  return found;
}

it("trains alike at the default rate, whatever the scale of the weights", async () => {
  const [plain, scaled] = [await losses(bases.plain, true), await losses(bases.scaled, true)];
  scaled.forEach((loss, step) => expect(Math.abs(loss / plain[step]! - 1), `step ${step}`).toBeLessThan(0.05));
  expect(plain.at(-1)).toBeLessThan(0.5 * plain[0]!);
}, 300_000);

it("collapsed on scaled weights as long as λ moved by the rate itself, without a bound", async () => {
  const old = await losses(bases.scaled, false, ["--trust", "0"]);
  const plain = await losses(bases.plain, true);
  expect(old.at(-1)!).toBeGreaterThan(2 * plain.at(-1)!);
}, 300_000);
