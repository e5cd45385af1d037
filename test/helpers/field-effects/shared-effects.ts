/** What the fields of both kinds of completion do. */
import { expect } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import type { SequenceRequest } from "../../../src/engine/engine.ts";
import { END_ID } from "../engine/arithmetic-engine.ts";
import { fittingAdapter } from "../http-app.ts";
import { type Bench, type Effect, ask, textOf, lastRequest, engineGets, sampling } from "./bench.ts";

const CONST = { kind: "json-schema", text: '{"const":1}' } as const;

const GBNF = { kind: "gbnf", text: 'root ::= "a"' } as const;

const TAG = '{"type":"structural_tag","format":{"type":"any_text"}}';

const bindsTo = (fields: object, grammar: SequenceRequest["grammar"] & object): Effect =>
  engineGets(fields, { grammar });

/** The field names the adapter `acme`, and another name is an error, never the base. */
const namesAdapter =
  (field: string, value: unknown, unknown: unknown): Effect =>
  async (bench) => {
    await ask(bench, { [field]: value });
    expect(lastRequest(bench).adapter?.generation).toBe(generationOf(fittingAdapter(1)));
    const { error } = await ask(bench, { [field]: unknown });
    expect([error?.code, error?.param]).toEqual(["adapter_not_found", field]);
    const other = await ask(bench, { model: "acme", [field]: unknown });
    expect([other.error?.code, other.error?.param]).toEqual(["invalid_request", field]);
  };

async function showsStop(bench: Bench, field: string): Promise<void> {
  const whole = textOf(await ask(bench, {}));
  const stop = whole.slice(4, 6);
  const end = whole.indexOf(stop) + stop.length;
  expect(textOf(await ask(bench, { stop, [field]: true }))).toBe(whole.slice(0, end));
}

export const SHARED: Readonly<Record<string, Effect>> = {
  model: async (bench) => {
    expect((await ask(bench, { model: "acme" })).model).toBe("acme");
    expect(lastRequest(bench).adapter?.generation).toBe(generationOf(fittingAdapter(1)));
  },
  adapter: namesAdapter("adapter", "acme", "nobody"),
  adapter_id: namesAdapter("adapter_id", "acme", "nobody"),
  lora_name: namesAdapter("lora_name", "acme", "nobody"),
  lora_path: async (bench) => {
    await namesAdapter("lora_path", "acme", "nobody")(bench);
    await namesAdapter("lora_path", ["acme", "acme"], ["nobody"])(bench);
    expect((await ask(bench, { lora_path: ["acme", null] })).error?.param).toBe("lora_path");
  },
  lora: async (bench) => {
    await namesAdapter("lora", "acme", "nobody")(bench);
    expect((await ask(bench, { lora: [{ id: 0, scale: 0.5 }] })).error?.param).toBe("lora");
    await ask(bench, { lora: [{ id: 0, scale: 0 }] });
    expect(lastRequest(bench).adapter).toBeNull();
  },
  lora_request: async (bench) => {
    await namesAdapter("lora_request", { lora_name: "acme", lora_int_id: 1 }, { lora_name: "nobody" })(bench);
    expect((await ask(bench, { lora_request: { lora_int_id: 1 } })).error?.code).toBe("invalid_request");
  },
  user: async (bench) => {
    await bench.test.put("other", fittingAdapter(2));
    const alias = { method: "PUT", body: JSON.stringify({ targets: { acme: 1, other: 1 } }) };
    await bench.test.app.request("/v1/aliases/split", alias);
    const found = new Set<string | undefined>();
    for (const user of ["a", "b", "c", "d", "e", "f", "g", "h"]) {
      await ask(bench, { model: "split", user });
      const first = lastRequest(bench).adapter?.generation;
      await ask(bench, { model: "split", user });
      expect(lastRequest(bench).adapter?.generation).toBe(first);
      found.add(first);
    }
    expect(found.size).toBe(2);
  },
  mosara_receipt: async (bench) => {
    expect(await ask(bench, { mosara_receipt: true })).toHaveProperty("mosara_receipt.signature.value");
    expect(lastRequest(bench).numLogprobs).toBe(0);
    expect(await ask(bench, {})).not.toHaveProperty("mosara_receipt");
  },
  max_tokens: engineGets({ max_tokens: 5 }, { maxTokens: 5 }),
  temperature: sampling({ temperature: 0.5 }, { temperature: 0.5 }),
  top_p: sampling({ top_p: 0.5 }, { topP: 0.5 }),
  top_k: sampling({ top_k: 3 }, { topK: 3 }),
  min_p: sampling({ min_p: 0.25 }, { minP: 0.25 }),
  seed: sampling({ seed: 7 }, { seed: 7 }),
  presence_penalty: sampling({ presence_penalty: 1 }, { presencePenalty: 1 }),
  frequency_penalty: sampling({ frequency_penalty: 1 }, { frequencyPenalty: 1 }),
  repetition_penalty: sampling({ repetition_penalty: 2 }, { repetitionPenalty: 2 }),
  logit_bias: sampling({ logit_bias: { "97": 3 } }, { logitBias: [[97, 3]] }),
  allowed_token_ids: async (bench) => {
    await sampling({ allowed_token_ids: [97, 98, 97] }, { allowedIds: Int32Array.of(97, 98) })(bench);
    expect((await ask(bench, { allowed_token_ids: [9999] })).error?.param).toBe("allowed_token_ids");
    expect((await ask(bench, { allowed_token_ids: [] })).error?.param).toBe("allowed_token_ids");
  },
  bad_words: async (bench) => {
    // At the beginning of a text and after a space; special tokens are no part of it.
    const [ab, c] = [[97, 98], [99]];
    await sampling({ bad_words: [" ab", "c", "c"] }, { badWords: [ab, [32, ...ab], c, [32, ...c]] })(bench);
    expect((await ask(bench, { bad_words: [""] })).error?.param).toBe("bad_words.0");
  },
  n: async (bench) => expect((await ask(bench, { n: 3 })).choices).toHaveLength(3),
  stop: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    expect(textOf(await ask(bench, { stop: whole.slice(4, 6) }))).toBe(
      whole.slice(0, whole.indexOf(whole.slice(4, 6))),
    );
  },
  include_stop_str_in_output: (bench) => showsStop(bench, "include_stop_str_in_output"),
  response_format: bindsTo({ response_format: { type: "json_schema", json_schema: { schema: { const: 1 } } } }, CONST),
  structured_outputs: bindsTo({ structured_outputs: { choice: ["a", "b"] } }, { kind: "choice", text: '["a","b"]' }),
  guided_json: bindsTo({ guided_json: { const: 1 } }, CONST),
  guided_regex: bindsTo({ guided_regex: "a+" }, { kind: "regex", text: "a+" }),
  guided_choice: bindsTo({ guided_choice: ["a"] }, { kind: "choice", text: '["a"]' }),
  guided_grammar: bindsTo({ guided_grammar: 'root ::= "a"' }, GBNF),
  guided_json_object: bindsTo({ guided_json_object: true }, { kind: "json-object", text: "" }),
  guided_whitespace_pattern: bindsTo(
    { guided_json: { const: 1 }, guided_whitespace_pattern: "[ ]?" },
    { ...CONST, whitespace: "[ ]?" },
  ),
  structural_tag: bindsTo({ structural_tag: TAG }, { kind: "structural-tag", text: TAG }),
  json_schema: bindsTo({ json_schema: '{"const":1}' }, CONST),
  grammar: bindsTo({ grammar: 'root ::= "a"' }, GBNF),
  regex: bindsTo({ regex: "a+" }, { kind: "regex", text: "a+" }),
  ebnf: bindsTo({ ebnf: 'root ::= "a"' }, GBNF),
  no_stop_trim: (bench) => showsStop(bench, "no_stop_trim"),
  stop_token_ids: engineGets({ stop_token_ids: [97] }, { stopIds: [END_ID, 97] }),
  ignore_eos: engineGets({ ignore_eos: true }, { stopIds: [] }),
  min_tokens: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    const stop = whole.slice(2, 4);
    expect(textOf(await ask(bench, { stop, min_tokens: 12 }))).toBe(whole);
    expect(lastRequest(bench).minTokens).toBe(12);
  },
  skip_special_tokens: async (bench) => {
    const fields = { max_tokens: 60, ignore_eos: true };
    expect(textOf(await ask(bench, { ...fields, skip_special_tokens: false }))).toContain("</s>");
    expect(textOf(await ask(bench, fields))).not.toContain("</s>");
  },
  return_token_ids: async (bench) => {
    const [choice] = (await ask(bench, { return_token_ids: true })).choices;
    expect(choice?.token_ids).toHaveLength(12);
    expect(choice?.prompt_token_ids).toEqual([...lastRequest(bench).promptIds]);
  },
  prompt_logprobs: async (bench) => {
    const answer = await ask(bench, { prompt_logprobs: 1 });
    const { promptIds } = lastRequest(bench);
    const scores = answer.prompt_logprobs ?? answer.choices[0]?.prompt_logprobs;
    expect(scores).toHaveLength(promptIds.length);
    expect(scores?.[0]).toBeNull();
    const second = String(promptIds[1]);
    expect(scores?.[1]).toEqual({
      [second]: { logprob: -0.5, rank: 1, decoded_token: String.fromCharCode(promptIds[1] ?? 0) },
    });
    expect((await ask(bench, { prompt_logprobs: 21 })).error?.param).toBe("prompt_logprobs");
    expect((await ask(bench, { prompt_logprobs: 1, stream: true })).error?.param).toBe("prompt_logprobs");
  },
  truncate_prompt_tokens: async (bench) => {
    await ask(bench, {});
    const whole = lastRequest(bench).promptIds;
    await ask(bench, { truncate_prompt_tokens: 3 });
    const start = bench.path === "/v1/completions" ? [1] : []; // special tokens around a text are kept
    expect([...lastRequest(bench).promptIds]).toEqual([...start, ...whole.slice(start.length - 3)]);
    await ask(bench, { truncate_prompt_tokens: -1, max_tokens: 508 });
    expect(lastRequest(bench).promptIds).toHaveLength(Math.min(4, whole.length));
    const most = await ask(bench, { truncate_prompt_tokens: 510 });
    expect([most.error?.code, most.error?.param]).toEqual(["context_length_exceeded", "truncate_prompt_tokens"]);
    expect((await ask(bench, { truncate_prompt_tokens: 0 })).error?.param).toBe("truncate_prompt_tokens");
  },
  truncation_side: async (bench) => {
    await ask(bench, {});
    const whole = lastRequest(bench).promptIds;
    await ask(bench, { truncate_prompt_tokens: 3, truncation_side: "right" });
    expect(lastRequest(bench).promptIds).toEqual(whole.slice(0, 3));
  },
  cache_salt: async (bench) => {
    await engineGets({ cache_salt: "pepper" }, { cacheSalt: "pepper" })(bench);
    expect((await ask(bench, { cache_salt: "" })).error?.param).toBe("cache_salt");
  },
  stream: async ({ test, path, body }) => {
    const response = await test.post(path, { ...body, stream: true });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(await response.text()).toContain("[DONE]");
  },
  stream_options: async ({ test, path, body }) => {
    const usageOf = async (options: object) => {
      const response = await test.post(path, { ...body, stream: true, stream_options: options });
      const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
      return events.map((event) => (JSON.parse(event.slice(6)) as { usage?: { completion_tokens: number } }).usage);
    };
    const ends = (await usageOf({ include_usage: true })).map((usage) => usage?.completion_tokens);
    expect(ends.filter((count) => count !== undefined)).toEqual([12]);
    const running = (await usageOf({ continuous_usage_stats: true })).map((usage) => usage?.completion_tokens ?? 0);
    expect(running.at(-1)).toBe(12);
    expect(running).toEqual([...running].sort((a, b) => a - b));
    expect(new Set(running).size).toBeGreaterThan(10);
  },
};
