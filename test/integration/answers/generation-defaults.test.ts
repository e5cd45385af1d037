/**
 * What a checkpoint's generation_config.json says holds for every request that is silent; transformers' greedy ids are
 * the authority.
 */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readJson } from "../../helpers/fixtures.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import { type Completion, complete, startServer, tempDir } from "../../helpers/server.ts";

interface Expected {
  readonly greedy: readonly { readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

/** Far beyond any logit's distance: tokens become a matter of luck, unless top_k leaves one of them. */
const WILD = 1000;

it("samples and ends as generation_config.json says, unless a request says otherwise", async () => {
  const source = llamaCheckpoint();
  const [first] = readJson<Expected>(source, "expected.json").greedy;
  const { prompt_ids: prompt, greedy_ids: greedy } = first!; // a golden case has one
  const end = greedy.find((id, i) => i > 0 && !greedy.slice(0, i).includes(id))!; // not all ids are the same
  const length = greedy.indexOf(end) + 1;
  const checkpoint = tempDir();
  cpSync(source, checkpoint, { recursive: true });
  const config = { temperature: WILD, top_k: 1, eos_token_id: [end, greedy[0] === 3 ? 4 : 3] };
  writeFileSync(join(checkpoint, "generation_config.json"), JSON.stringify(config));
  const flags = ["--weights", "float32", "--cache", tempDir(), "--served-model-name", "base"];
  await using server = await startServer(["--model", checkpoint, ...flags]);
  const ask = async (fields: object): Promise<Completion["choices"][number]> => {
    const body = {
      model: "base",
      prompt,
      max_tokens: greedy.length,
      temperature: undefined,
      ignore_eos: false,
      ...fields,
    };
    return (await complete(server.url, body)).json.choices[0]!; // n is 1
  };
  const silent = await ask({});
  expect(silent).toMatchObject({ token_ids: greedy.slice(0, length), finish_reason: "stop" });
  expect(await ask({ ignore_eos: true })).toMatchObject({ token_ids: greedy, finish_reason: "length" });
  const wild = await ask({ top_k: 0, ignore_eos: true, seed: 1 });
  expect(wild.token_ids).not.toEqual(greedy);
  expect((await ask({ top_k: 0, temperature: 0, ignore_eos: true })).token_ids).toEqual(greedy);
});
