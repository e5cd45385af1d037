/** The smallest whole way through the program: built, served, asked, an adapter brought and used, ended in order. */
import { join } from "node:path";
import { expect } from "vitest";
import { readManifest } from "../../src/base/manifest.ts";
import { readJson } from "./fixtures.ts";
import { adapterFile } from "./models/base-adapters.ts";
import { llamaCheckpoint } from "./models/golden-base.ts";
import { complete, mosara, putAdapter, startServer, tempDir } from "./server.ts";

const CHECKPOINT = llamaCheckpoint();

interface Expected {
  readonly greedy: readonly { readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

/** Builds, serves with one row, answers with and without an adapter, and ends. */
export async function serveOn(device: "cpu" | "webgpu", weights: "float32" | "float16"): Promise<void> {
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
