/** Every model fixture through the front door: build, serve, score and continue; transformers is the authority. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import { openSafetensors, type SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { RawConfig } from "../../src/model/config/config-reader.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { casesIn, fixturesDir, readJson } from "../helpers/fixtures.ts";
import { type Answer, type Completion, complete, mosara, startServer, tempDir } from "../helpers/server.ts";

const models = fixturesDir("models");
const cases = casesIn(models, "expected.json").map((name) => {
  const config = readJson<RawConfig>(models, name, "config.json");
  return { name, type: String(config.model_type), isSupported: isSupported(config) };
});

function isSupported(config: RawConfig): boolean {
  try {
    parseModelConfig(config);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === "checkpoint_unsupported") return false;
    throw error;
  }
}

interface Expected {
  readonly greedy: readonly { readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

/** Rows of a matrix of the fixture; none where it has no such tensor. */
async function rowsOf(file: SafetensorsFile, name: string): Promise<number[][]> {
  const [count = 0, width = 0] = file.tensors.get(name)?.shape ?? [];
  if (count === 0) return [];
  const values = Array.from((await file.read(name)).data as ArrayLike<number | bigint>, Number);
  return Array.from({ length: count }, (_, row) => values.slice(row * width, (row + 1) * width));
}

function choicesOf({ status, json, text }: Answer<Completion>): Completion["choices"] {
  expect(status, text).toBe(200);
  return json.choices;
}

it("has the families that are there from the first day", () => {
  const refused = cases.filter(({ type, isSupported: has }) => !has && ["llama", "mistral", "qwen2"].includes(type));
  expect(refused).toEqual([]);
  expect(cases.some(({ isSupported: has }) => has)).toBe(true);
});

describe.each(cases.filter((one) => one.isSupported))("$name, built in float32 and served", ({ name }) => {
  it("answers with transformers' log-probabilities and greedy ids", async () => {
    const dir = join(models, name);
    const base = join(tempDir(), "base");
    const built = await mosara("build", dir, "--out", base, "--weights", "float32");
    expect(built.code, built.stderr).toBe(0);
    await using server = await startServer(["--model", base, "--served-model-name", "base"]);
    await using expected = await openSafetensors(join(dir, "expected.safetensors"));
    for (const prefix of ["", "long_"]) {
      const prompt = await rowsOf(expected, `${prefix}input_ids`);
      if (prompt.length === 0) continue;
      const answer = await complete(server.url, { model: "base", prompt, max_tokens: 0, echo: true, logprobs: 0 });
      const logprobs = await rowsOf(expected, `${prefix}logprobs`);
      for (const [row, { logprobs: got }] of choicesOf(answer).entries())
        expectAllclose(got?.token_logprobs.slice(1) ?? [], logprobs[row] ?? [], { atol: 1e-4 }, `${prefix}row ${row}`);
    }
    const { greedy } = readJson<Expected>(dir, "expected.json");
    const got = greedy.map(async ({ prompt_ids: prompt, greedy_ids }) => {
      const body = { model: "base", prompt, max_tokens: greedy_ids.length, repetition_penalty: 1 };
      return choicesOf(await complete(server.url, body))[0]?.token_ids;
    });
    expect(await Promise.all(got)).toEqual(greedy.map(({ greedy_ids }) => greedy_ids));
  });
});

const refused = cases.filter((one) => !one.isSupported);
describe.runIf(refused.length > 0).each(refused)("$name, a family that is not supported", ({ name, type }) => {
  it("is refused by name in one line, and nothing is left behind", async () => {
    const out = join(tempDir(), "base");
    const built = await mosara("build", join(models, name), "--out", out, "--weights", "float32");
    expect(built.code).toBe(1);
    expect(built.stderr).toMatch(new RegExp(`^mosara: [^\\n]*"${type}"[^\\n]*\\n$`));
    expect((await mosara("inspect", out)).code).not.toBe(0);
  });
});
