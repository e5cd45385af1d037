/**
 * /tokenize, /detokenize, /tokenizer_info and the render routes, in vLLM's shapes; the ids are those of `tokenizers`.
 */
import { findAnswerFormats } from "../../src/http/completion/answer-format/answer-formats.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { textOf } from "../../src/http/worker-text.ts";
import { readTextFiles } from "../../src/tokenizer/files/text-files.ts";
import { tokenizerInfo } from "../../src/tokenizer/files/tokenizer-info.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import type { TextWorker } from "../../src/tokenizer/worker/text-worker-client.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";

const dir = join(fixturesDir("text"), "tokenizers");
interface Cases {
  readonly texts: readonly { text: string; ids: { plain: number[]; special: number[] } }[];
  readonly sequences: readonly { ids: number[]; wellFormed: boolean; decoded: { keep: string } }[];
}

/** Encoding in this thread; the worker's own tests are the tokenizer's. */
async function workerInThread(place: string): Promise<TextWorker> {
  const tokenizer = await loadTokenizer(place);
  return {
    tokenizer,
    encode: async (text, options) => tokenizer.encode(text, options),
    encodeChat: async () => [],
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

let test: TestApp;
beforeEach(async () => {
  test = await createTestApp({ startIds: [1] });
});
afterEach(() => test[Symbol.asyncDispose]());

interface Json {
  readonly count?: number;
  readonly tokens?: number[];
  readonly token_strs?: string[] | null;
  readonly prompt?: string;
  readonly error?: { code: string; param: string | null; message: string };
}
const ask = async (path: string, body: object, app = test) => {
  const response = await app.post(path, body);
  return { status: response.status, json: (await response.json()) as Json };
};
const messages = [{ role: "user", content: "hi" }];
const bytes = (text: string) => [...new TextEncoder().encode(text)];

describe.each(casesIn(dir, "cases.json"))("the tokenizer %s", (name) => {
  it("has the ids and texts of its authority", async () => {
    const place = join(dir, name);
    const { texts, sequences } = JSON.parse(readFileSync(join(place, "cases.json"), "utf8")) as Cases;
    const worker = await workerInThread(place);
    const text = textOf(
      worker,
      tokenizerInfo(await readTextFiles(place)),
      findAnswerFormats(new Map(), worker.tokenizer, { toolCallParser: "none", reasoningParser: "none" }),
    );
    await using app = await createTestApp({ text, vocabSize: 100_000 });
    for (const { text: prompt, ids } of texts) {
      const special = await ask("/tokenize", { prompt, return_token_strs: true }, app);
      expect(special.json.tokens).toEqual(ids.special);
      expect(special.json.count).toBe(ids.special.length);
      expect(special.json.token_strs).toEqual(ids.special.map((id) => worker.tokenizer.idToToken(id)));
      expect((await ask("/tokenize", { prompt, add_special_tokens: false }, app)).json.tokens).toEqual(ids.plain);
    }
    for (const { ids, decoded, wellFormed } of sequences)
      if (wellFormed) expect((await ask("/detokenize", { tokens: ids }, app)).json.prompt).toBe(decoded.keep);
    const info = (await (await app.app.request("/tokenizer_info")).json()) as Record<string, unknown>;
    expect(typeof info.tokenizer_class).toBe("string");
    expect(JSON.stringify(info)).not.toContain(dir);
  });
});

describe("POST /tokenize", () => {
  it("answers vLLM's four fields", async () => {
    const { json } = await ask("/tokenize", { model: "base", prompt: "ab" });
    expect(json).toEqual({ count: 3, max_model_len: 512, tokens: [1, 97, 98], token_strs: null });
  });

  it("renders a conversation as a chat completion does", async () => {
    for (const more of [
      {},
      { add_generation_prompt: false },
      { continue_final_message: true, add_generation_prompt: false },
      { tools: [{ type: "function", function: { name: "f" } }] },
      { chat_template_kwargs: { mood: 1 } },
      { chat_template: "rag", documents: [{ title: "t" }] },
    ]) {
      const { json } = await ask("/tokenize", { messages, ...more });
      await test.post("/v1/chat/completions", { model: "base", messages, max_tokens: 1, ...more });
      expect(json.tokens).toEqual([...(test.engine.requests.at(-1)?.promptIds ?? [])]);
    }
  });

  it("accepts texts longer than the context", async () => {
    const { json } = await ask("/tokenize", { prompt: "x".repeat(2000) });
    expect([json.count, test.engine.requests.length]).toEqual([2001, 0]);
  });

  it("accepts the name of an adapter and of nothing else", async () => {
    await test.put("acme", fittingAdapter(1));
    for (const model of ["acme", "base:acme", "base", null])
      expect((await ask("/tokenize", { model, prompt: "a" })).status).toBe(200);
    expect((await ask("/tokenize", { model: "nobody", prompt: "a" })).json.error?.code).toBe("model_not_found");
    expect((await ask("/tokenize", { model: "base:nobody", prompt: "a" })).json.error?.code).toBe("adapter_not_found");
  });

  it.each([
    ["neither prompt nor messages", {}, "invalid_request", "prompt"],
    ["both", { prompt: "a", messages }, "invalid_request", "prompt"],
    ["a list of prompts", { prompt: ["a"] }, "invalid_request", "prompt"],
    [
      "special tokens for a chat",
      { messages, add_special_tokens: true },
      "unsupported_parameter",
      "add_special_tokens",
    ],
    [
      "chat's variable of reasoning",
      { messages, reasoning_effort: "low" },
      "unsupported_parameter",
      "reasoning_effort",
    ],
    ["tools that are not shown", { messages, tool_choice: "none" }, "unsupported_parameter", "tool_choice"],
    [
      "a shorter prompt",
      { prompt: "abc", truncate_prompt_tokens: 1 },
      "unsupported_parameter",
      "truncate_prompt_tokens",
    ],
    ["llama.cpp's name of a prompt", { content: "a" }, "unsupported_parameter", "content"],
    ["special tokens as text", { prompt: "a", parse_special: false }, "unsupported_parameter", "parse_special"],
    ["a field that seems to name an adapter", { prompt: "a", my_adapter: "b" }, "unsupported_parameter", "my_adapter"],
    ["tools beside a prompt", { prompt: "a", tools: [{ type: "function" }] }, "invalid_request", "tools"],
    [
      "variables beside a prompt",
      { prompt: "a", chat_template_kwargs: { a: 1 } },
      "invalid_request",
      "chat_template_kwargs",
    ],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      "unsupported_parameter",
      "messages.0.content.0",
    ],
  ])("refuses %s", async (_, body, code, param) => {
    const { status, json } = await ask("/tokenize", body);
    expect([status, json.error?.code, json.error?.param]).toEqual([400, code, param]);
  });
});

it("accepts what changes no ids, and refuses unknown fields when they are", async () => {
  const harmless = { temperature: 0.5, max_tokens: 3, stop: ["a"], user: "u", tools: [], chat_template_kwargs: {} };
  expect((await ask("/tokenize", { prompt: "ab", ...harmless, unknown: 1 })).json.tokens).toEqual([1, 97, 98]);
  await using strict = await createTestApp({ refusesUnknownFields: true });
  const found = [
    await ask("/tokenize", { prompt: "ab", add_special_token: false }, strict),
    await ask("/detokenize", { tokens: [1], skip_special_token: true }, strict),
  ];
  expect(found.map(({ json }) => json.error?.message)).toEqual([
    expect.stringContaining('Did you mean "add_special_tokens"?'),
    expect.stringContaining('Did you mean "skip_special_tokens"?'),
  ]);
});

describe("POST /detokenize", () => {
  it("answers the text with its special tokens", async () => {
    expect((await ask("/detokenize", { model: "base", tokens: [104, 105, 256] })).json).toEqual({ prompt: "hi</s>" });
    expect((await ask("/detokenize", { tokens: [] })).json).toEqual({ prompt: "" });
  });

  it("leaves special tokens out where they are not wanted", async () => {
    const tokens = [104, 256, 105];
    expect((await ask("/detokenize", { tokens, skip_special_tokens: true })).json).toEqual({ prompt: "hi" });
    expect((await ask("/detokenize", { tokens, skip_special_tokens: false })).json).toEqual({ prompt: "h</s>i" });
  });

  it("refuses ids that the model does not have", async () => {
    for (const tokens of [[257], [-1], [0.5], "a", undefined])
      expect((await ask("/detokenize", { tokens })).status).toBe(400);
    expect((await ask("/detokenize", { tokens: [1, 257] })).json.error?.message).toContain("the id 257");
  });
});

describe("the render routes", () => {
  it("answer the ids and parameters that the completion runs with", async () => {
    const body = { model: "base", max_tokens: 5, temperature: 0.5, top_k: 3, stop: "x", seed: 4, bad_words: ["q"] };
    const chat = (await ask("/v1/chat/completions/render", { ...body, messages })).json;
    expect(test.engine.requests).toEqual([]);
    await test.post("/v1/chat/completions", { ...body, messages });
    const request = test.engine.requests.at(-1);
    expect(chat).toMatchObject({
      request_id: expect.stringMatching(/^chatcmpl-/) as string,
      token_ids: [...(request?.promptIds ?? [])],
      features: null,
      model: "base",
      stream: false,
      cache_salt: null,
      priority: 0,
      sampling_params: { n: 1, max_tokens: 5, temperature: 0.5, top_k: 3, stop: ["x"], seed: 4, bad_words: ["q"] },
    });
    const prompts = (await ask("/v1/completions/render", { ...body, prompt: ["a", "bc"], n: 2 })).json;
    expect(prompts).toMatchObject([
      { token_ids: [1, ...bytes("a")], sampling_params: { n: 2 } },
      { token_ids: [1, ...bytes("bc")] },
    ]);
  });

  it("answer the grammar under the names of vLLM", async () => {
    const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
    for (const [asked, structured_outputs] of [
      [{ response_format: { type: "json_schema", json_schema: { name: "x", schema } } }, { json: schema }],
      [{ response_format: { type: "json_object" } }, { json_object: true }],
      [{ structured_outputs: { regex: "a+" } }, { regex: "a+" }],
      [{ guided_choice: ["a", "b"] }, { choice: ["a", "b"] }],
      [{ grammar: 'root ::= "a"' }, { grammar: 'root ::= "a"' }],
      [{}, null],
    ] as const) {
      const { json } = await ask("/v1/chat/completions/render", { model: "base", messages, ...asked });
      expect(json).toMatchObject({ sampling_params: { structured_outputs } });
    }
  });

  it("refuse as the completion does, and hold no adapter", async () => {
    await test.put("acme", fittingAdapter(1));
    expect((await ask("/v1/completions/render", { model: "acme", prompt: "x".repeat(600) })).json.error?.code).toBe(
      "context_length_exceeded",
    );
    expect((await ask("/v1/chat/completions/render", { model: "acme", messages })).status).toBe(200);
    expect(test.context.inFlight.count).toBe(0);
    const { error } = (await ask("/v1/chat/completions/render", { model: "base", messages, functions: [1] })).json;
    expect([error?.code, error?.param]).toEqual(["unsupported_parameter", "functions"]);
  });
});

describe("best_of", () => {
  const answers = async (fields: object) => {
    const response = await test.post("/v1/completions", {
      model: "base",
      prompt: "hi",
      max_tokens: 6,
      seed: 1,
      ...fields,
    });
    return (await response.json()) as {
      choices: { index: number; text: string; logprobs: unknown }[];
      usage: { completion_tokens: number };
      error?: { code: string; param: string };
    };
  };

  it("answers the likeliest of the generated answers and counts all of them", async () => {
    // Answers with a lower seed are likelier here.
    const submit = test.engine.submit.bind(test.engine);
    test.engine.submit = (request) => {
      expect(request.numLogprobs).toBe(0);
      const stream = submit(request);
      const scale = [3, 1, 2][request.sampling.seed - 1] ?? 1;
      return {
        numCached: 0,
        cancel: () => stream.cancel(),
        async *[Symbol.asyncIterator]() {
          for await (const event of stream)
            yield event.type === "token" && event.logprob
              ? { ...event, logprob: { ...event.logprob, logprob: event.logprob.logprob * scale } }
              : event;
        },
      };
    };
    const { choices, usage } = await answers({ best_of: 3, n: 2 });
    test.engine.submit = submit;
    const all = await answers({ n: 3 });
    expect(choices).toMatchObject([
      { index: 0, text: all.choices[1]?.text, logprobs: null },
      { index: 1, text: all.choices[2]?.text, logprobs: null },
    ]);
    expect(usage.completion_tokens).toBe(18);
  });

  it("is refused below n, and above n in a stream", async () => {
    for (const fields of [
      { best_of: 1, n: 2 },
      { best_of: 2, stream: true },
    ])
      expect((await answers(fields)).error).toMatchObject({ code: "invalid_request", param: "best_of" });
  });
});
