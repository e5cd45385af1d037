/** What every heeded field does, each against the application over the arithmetic engine. */
import { expect } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import type { SequenceRequest } from "../../src/engine/engine.ts";
import type { Endpoint } from "../../src/fields/field.ts";
import { END_ID } from "./engine/arithmetic-engine.ts";
import { createTestApp, fittingAdapter, type TestApp } from "./http-app.ts";

export interface Bench {
  readonly test: TestApp;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

type Effect = (bench: Bench) => Promise<void>;

interface Answer {
  readonly model: string;
  readonly choices: {
    readonly text?: string;
    readonly message?: { readonly content: string };
    readonly logprobs: { readonly content?: unknown[]; readonly tokens?: unknown[] } | null;
    readonly token_ids?: number[];
    readonly prompt_token_ids?: number[];
    readonly prompt_logprobs?: unknown[];
  }[];
  readonly prompt_logprobs?: unknown[];
  readonly error?: { readonly code: string; readonly param: string | null };
}

async function ask({ test, path, body }: Bench, fields: object): Promise<Answer> {
  return (await (await test.post(path, { ...body, ...fields })).json()) as Answer;
}

const TOOLS = ["f", "g"].map((name) => ({ type: "function", function: { name } }));

/** Asks a model whose prompts end within reasoning, which this mark ends. */
async function askReasoning({ path, body }: Bench, end: string, fields: object): Promise<Answer> {
  await using test = await createTestApp({ reasoning: { name: "test", begin: "<assistant>", end } });
  return await ask({ test, path, body }, fields);
}

const textOf = (answer: Answer): string => answer.choices[0]?.text ?? answer.choices[0]?.message?.content ?? "";
const lastRequest = ({ test }: Bench): SequenceRequest => test.engine.requests.at(-1) as SequenceRequest;
const promptOf = (bench: Bench): string => new TextDecoder().decode(Uint8Array.from(lastRequest(bench).promptIds));

/** The field reaches the engine so. */
const engineGets =
  (fields: object, expected: Partial<Omit<SequenceRequest, "sampling">> & { sampling?: object }): Effect =>
  async (bench) => {
    await ask(bench, fields);
    expect(lastRequest(bench)).toMatchObject(expected);
  };

const sampling = (fields: object, expected: object): Effect => engineGets(fields, { sampling: expected });

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

const SHARED: Readonly<Record<string, Effect>> = {
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

async function showsStop(bench: Bench, field: string): Promise<void> {
  const whole = textOf(await ask(bench, {}));
  const stop = whole.slice(4, 6);
  const end = whole.indexOf(stop) + stop.length;
  expect(textOf(await ask(bench, { stop, [field]: true }))).toBe(whole.slice(0, end));
}

const CHAT: Readonly<Record<string, Effect>> = {
  messages: async (bench) => {
    await ask(bench, { messages: [{ role: "user", content: "other" }] });
    expect(promptOf(bench)).toContain("<user>other");
  },
  max_completion_tokens: engineGets({ max_completion_tokens: 5 }, { maxTokens: 5 }),
  logprobs: async (bench) =>
    expect((await ask(bench, { logprobs: true })).choices[0]?.logprobs?.content).toHaveLength(12),
  top_logprobs: engineGets({ logprobs: true, top_logprobs: 3 }, { numLogprobs: 3 }),
  tools: async (bench) => {
    await ask(bench, { tools: [{ type: "function", function: { name: "f" } }] });
    expect(promptOf(bench)).toContain("[tools]");
    expect((await ask(bench, { tools: [{ type: "web_search" }] })).error?.param).toBe("tools.0.type");
  },
  tool_choice: async (bench) => {
    await ask(bench, { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "none" });
    expect(promptOf(bench)).not.toContain("[tools]");
    expect((await ask(bench, { tool_choice: "required" })).error?.param).toBe("tools");
    await ask(bench, { tools: TOOLS, tool_choice: "required" });
    expect(lastRequest(bench).grammar?.text).toContain('{\\"name\\": \\"g\\"');
    const named = { type: "function", function: { name: "f" } };
    await ask(bench, { tools: TOOLS, tool_choice: named });
    expect(lastRequest(bench).grammar?.text).not.toContain('\\"g\\"');
    const { error } = await ask(bench, { tools: TOOLS, tool_choice: { ...named, function: { name: "h" } } });
    expect(error?.param).toBe("tool_choice");
  },
  parallel_tool_calls: async (bench) => {
    for (const isParallel of [true, false]) {
      await ask(bench, { tools: TOOLS, tool_choice: "required", parallel_tool_calls: isParallel });
      expect(lastRequest(bench).grammar?.text).toContain(`"stop_after_first":${!isParallel}`);
    }
  },
  reasoning_effort: async (bench) => {
    await ask(bench, { reasoning_effort: "low" });
    expect(promptOf(bench)).toContain('{"enable_thinking":true}');
    await ask(bench, { reasoning_effort: "none" });
    expect(promptOf(bench)).toContain('{"enable_thinking":false}');
  },
  include_reasoning: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    const [thought, answer] = [whole.slice(0, 4), whole.slice(6)];
    const ofReasoning = async (fields: object) =>
      (await askReasoning(bench, whole.slice(4, 6), fields)).choices[0]?.message;
    expect(await ofReasoning({})).toMatchObject({ content: answer, reasoning_content: thought, reasoning: thought });
    expect(await ofReasoning({ include_reasoning: false })).toEqual({
      role: "assistant",
      content: answer,
      refusal: null,
    });
  },
  separate_reasoning: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    const together = await askReasoning(bench, whole.slice(4, 6), { separate_reasoning: false });
    expect(textOf(together)).toBe(whole);
  },
  chat_template_kwargs: async (bench) => {
    await ask(bench, { chat_template_kwargs: { name: "value" } });
    expect(promptOf(bench)).toContain('{"name":"value"}');
  },
  chat_template: async (bench) => {
    await ask(bench, { chat_template: "rag" });
    expect(promptOf(bench)).toMatch(/^\[rag\]/);
  },
  documents: async (bench) => {
    await ask(bench, { documents: [{ title: "t" }] });
    expect(promptOf(bench)).toContain('{"documents":[{"title":"t"}]}');
    await ask(bench, { documents: [{ title: "t" }], chat_template_kwargs: { documents: [] } });
    expect(promptOf(bench)).toContain('{"documents":[]}');
  },
  add_generation_prompt: async (bench) => {
    await ask(bench, { add_generation_prompt: false });
    expect(promptOf(bench)).toBe("<user>hello\n");
  },
  continue_final_message: async (bench) => {
    await ask(bench, { continue_final_message: true, add_generation_prompt: false });
    expect(promptOf(bench)).toBe("<user>hello");
    const both = await ask(bench, { continue_final_message: true, add_generation_prompt: true });
    expect([both.error?.code, both.error?.param]).toEqual(["invalid_request", "continue_final_message"]);
  },
};

const COMPLETIONS: Readonly<Record<string, Effect>> = {
  prompt: engineGets({ prompt: [97, 98] }, { promptIds: Int32Array.of(97, 98) }),
  echo: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    expect(textOf(await ask(bench, { echo: true }))).toBe(`hello${whole}`);
  },
  logprobs: async (bench) => expect((await ask(bench, { logprobs: 2 })).choices[0]?.logprobs?.tokens).toHaveLength(12),
  best_of: async (bench) => {
    const before = bench.test.engine.requests.length;
    expect((await ask(bench, { best_of: 3, n: 2 })).choices).toHaveLength(2);
    expect(bench.test.engine.requests).toHaveLength(before + 3);
  },
  add_special_tokens: async (bench) => {
    await ask(bench, {});
    expect(lastRequest(bench).promptIds[0]).toBe(1);
    await ask(bench, { add_special_tokens: false });
    expect(promptOf(bench)).toBe("hello");
  },
};

export const EFFECTS: Readonly<Record<Endpoint, Readonly<Record<string, Effect>>>> = {
  chat: { ...SHARED, ...CHAT },
  completions: { ...SHARED, ...COMPLETIONS },
};
