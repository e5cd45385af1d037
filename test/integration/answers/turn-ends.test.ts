/**
 * A template whose turns close with a token that ends no answer of the base: an adapter trained on it brings the token
 * along, and serving heeds it for that adapter alone. As vLLM has it, a base ends at the ids that its files name and at
 * no other.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeCaseCheckpoint } from "../../helpers/models/case-checkpoint.ts";
import { readJson } from "../../helpers/fixtures.ts";
import { complete, mosara, putAdapter, startServer, tempDir } from "../../helpers/server.ts";

/** `<pad>`, which is special and which no file names as an end. */
const CLOSING = 2;
const TEMPLATE =
  "{% for m in messages %}[{{ m.role }}]{{ m.content }}<pad>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

async function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await mosara(...args);
  expect(code, stderr).toBe(0);
  return { stdout, stderr };
}

it("brings the token that closes turns into the adapter, and ends its answers alone", async () => {
  const checkpoint = writeCaseCheckpoint({
    from: "llama",
    files: { "tokenizer_config.json": { set: { chat_template: TEMPLATE } } },
  });
  const dir = tempDir();
  const data = join(dir, "data.jsonl");
  const messages = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "hello there" },
  ];
  writeFileSync(data, `${JSON.stringify({ messages })}\n`);
  const cache = ["--cache", join(dir, "cache")];
  const train = ["train", "--model", checkpoint, "--data", data, "--method", "lora", "--steps", "1", "--threads", "1"];
  const adapter = join(dir, "a.mosara");
  const { stderr } = await run(...train, "--out", adapter, ...cache);
  expect(stderr).toMatch(/closes turns with 2 "<pad>", which does not end answers/);
  const { stdout: facts } = await run("inspect", adapter, "--json");
  expect((JSON.parse(facts) as { endTokenIds: number[] }).endTokenIds).toEqual([CLOSING]);

  const flags = ["--weights", "float32", "--served-model-name", "base"];
  await using server = await startServer(["--model", checkpoint, ...flags, ...cache]);
  const bytes = readFileSync(adapter);
  expect((await putAdapter(server.url, "tenant", bytes)).status).toBe(201);
  const ask = async (fields: object) => {
    const body = { prompt: [3, 4], max_tokens: 3, ignore_eos: false, logit_bias: { [CLOSING]: 100 }, ...fields };
    return (await complete(server.url, body)).json.choices[0];
  };
  const ended = { finish_reason: "stop", token_ids: [CLOSING] };
  const inline = { data: bytes.toString("base64") };
  expect(await ask({ model: "tenant" })).toMatchObject(ended);
  expect(await ask({ model: "base", adapter: inline })).toMatchObject(ended);
  for (const fields of [{ model: "base" }, { model: "tenant", ignore_eos: true }])
    expect(await ask(fields)).toMatchObject({ finish_reason: "length", token_ids: [CLOSING, CLOSING, CLOSING] });

  const merged = join(dir, "merged");
  await run("merge", "--model", checkpoint, "--adapter", adapter, "--out", merged, ...cache);
  expect(readJson<{ eos_token_id: number[] }>(merged, "generation_config.json").eos_token_id).toEqual([1, CLOSING]);
});
