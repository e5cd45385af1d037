/**
 * The smallest whole way on every device: built, served, answered as transformers answers, an adapter brought and used,
 * ended in order. `npm run smoke:node` runs it on other versions of Node; it must stay small. Needs dist/.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readManifest } from "../../src/base/manifest.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { readJson } from "../helpers/fixtures.ts";
import { llamaCheckpoint } from "../helpers/models/golden-base.ts";
import { complete, mosara, putAdapter, startServer, tempDir } from "../helpers/server.ts";
import { describeOnWebgpu } from "../helpers/engine/webgpu.ts";

/** Shaders are compiled at the first steps, on a test machine by SwiftShader. */
const TIMEOUT_MS = 240_000;
const CHECKPOINT = llamaCheckpoint();

interface Expected {
  readonly greedy: readonly { readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

/** Builds, serves with one row, answers with and without an adapter, and ends. */
async function serveOn(device: "cpu" | "webgpu", weights: "float32" | "float16"): Promise<void> {
  const base = join(tempDir(), "base");
  const built = await mosara("build", CHECKPOINT, "--out", base, "--weights", weights);
  expect(built.code, built.stderr).toBe(0);
  const flags = ["--model", base, "--served-model-name", "base", "--device", device, "--max-num-seqs", "1"];
  await using server = await startServer(flags);
  // A fixture has some.
  const { prompt_ids: prompt, greedy_ids } = readJson<Expected>(CHECKPOINT, "expected.json").greedy[0]!;
  const ask = async (model: string): Promise<number[] | undefined> => {
    const body = { model, prompt, max_tokens: greedy_ids.length, repetition_penalty: 1, temperature: 0 };
    return (await complete(server.url, body)).json.choices[0]?.token_ids;
  };
  expect(await ask("base")).toEqual(greedy_ids);
  const bytes = adapterFile(await readManifest(base), { seed: 1 });
  expect((await putAdapter(server.url, "tenant", bytes)).status).toBe(201);
  const adapted = await ask("tenant");
  expect(adapted).toHaveLength(greedy_ids.length);
  expect(adapted).not.toEqual(greedy_ids);
  expect(await server.stop()).toBe(0);
}

describe("mosara on the CPU", () => {
  it("builds, serves and ends", { timeout: TIMEOUT_MS }, () => serveOn("cpu", "float32"));

  it("trains an adapter", { timeout: TIMEOUT_MS }, async () => {
    const root = join(import.meta.dirname, "../..");
    const [data, out] = [join(root, "docs/demo/butler.jsonl"), join(tempDir(), "butler.mosara")];
    const trained = await mosara(
      "train",
      "--model",
      join(root, "models/demo"),
      "--data",
      data,
      "--steps",
      "2",
      "--out",
      out,
    );
    expect(trained.code, trained.stderr).toBe(0);
  });
});

describeOnWebgpu("mosara on a WebGPU device", () => {
  it("builds, serves from half precision and ends", { timeout: TIMEOUT_MS }, () => serveOn("webgpu", "float16"));
});
