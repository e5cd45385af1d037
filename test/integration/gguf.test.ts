/** A GGUF file where a checkpoint is named, through every command of the built program. Needs dist/. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { GGUF_GOLDEN, readJson } from "../helpers/fixtures.ts";
import { complete, mosara, startServer, tempDir } from "../helpers/server.ts";

const MODEL = join(GGUF_GOLDEN, "families", "llama", "model-00001-of-00003.gguf");
const CACHE = ["--cache", join(tempDir(), "cache")];

/** A command that has to succeed. @returns what it printed, as JSON */
async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await mosara(...args, "--json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

describe("a GGUF file", () => {
  it("is inspected, built, trained on, evaluated, merged and served", { timeout: 180_000 }, async () => {
    const dir = tempDir();
    const [base, adapter, merged, data] = ["base", "a.mosara", "merged", "data.jsonl"].map((name) =>
      join(dir, name),
    ) as [string, string, string, string];
    const lines = Array.from({ length: 8 }, (_, i) =>
      JSON.stringify({ prompt: `Number ${i}`, completion: ` is ${i}.` }),
    );
    writeFileSync(data, `${lines.join("\n")}\n`);

    const facts = await run("inspect", MODEL);
    expect(facts).toMatchObject({ kind: "checkpoint", format: "gguf", files: 3, architecture: "LlamaForCausalLM" });
    const { baseId } = await run("build", MODEL, "--out", base);
    expect(readdirSync(base)).toEqual(expect.arrayContaining(["config.json", "tokenizer.json", "weights.safetensors"]));

    const training = ["--data", data, "--steps", "2", "--batch-size", "2", "--seed", "1", "--out", adapter];
    await run("train", "--model", MODEL, ...CACHE, ...training);
    expect(await run("inspect", adapter)).toMatchObject({ kind: "adapter", baseId });
    const evaluated = await run(
      "eval",
      "--model",
      MODEL,
      ...CACHE,
      "--adapter",
      adapter,
      "--data",
      data,
      "--metric",
      "loss",
    );
    expect(JSON.stringify(evaluated)).toMatch(/loss/);
    await run("merge", "--model", MODEL, ...CACHE, "--adapter", adapter, "--out", merged);
    await using checkpoint = await openCheckpoint(merged);
    expect(checkpoint.rawConfig.model_type).toBe("llama");

    await using server = await startServer(["--model", MODEL, ...CACHE, "--served-model-name", "base"]);
    const golden = readJson<{ tokenizer: { text: string; ids: number[] }[] }>(
      GGUF_GOLDEN,
      "..",
      "models",
      "llama",
      "expected.json",
    );
    const prompt = golden.tokenizer[0]!.text;
    const { status, json } = await complete(server.url, { model: "base", prompt, max_tokens: 4, temperature: 0 });
    expect(status).toBe(200);
    expect(json.choices[0]!.token_ids).toHaveLength(4);
  });

  it("is named in the error where a directory of them is given", async () => {
    const { code, stderr } = await mosara("serve", "--model", join(GGUF_GOLDEN, "families", "qwen2"), ...CACHE);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/Name one of its GGUF files, such as .*model\.gguf/);
  });
});
