import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { AppError } from "../../../src/errors.ts";
import { END_ID, expectedIds, VOCAB_SIZE } from "../../helpers/engine/arithmetic-engine.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
beforeEach(async () => {
  test = await createTestApp();
});
afterEach(() => test[Symbol.asyncDispose]());

interface Choice {
  index: number;
  text: string;
  finish_reason: string;
  logprobs: {
    tokens: string[];
    token_logprobs: (number | null)[];
    top_logprobs: (object | null)[];
    text_offset: number[];
  } | null;
  token_ids?: number[];
  prompt_token_ids?: number[];
}
interface Answer {
  id: string;
  object: string;
  model: string;
  system_fingerprint: string;
  choices: Choice[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  error: { code: string; param: string | null; message: string; type: string };
}

const path = "/v1/completions";
const ask = async (body: object, headers?: Record<string, string>) => {
  const response = await test.post(path, { model: "base", prompt: "hello", temperature: 0, ...body }, headers);
  return { status: response.status, headers: response.headers, json: (await response.json()) as Answer };
};
const textOf = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id !== END_ID)));
const greedy = (prompt: string, maxTokens: number, generation: string | null = null, stopIds: number[] = [END_ID]) =>
  expectedIds({
    promptIds: Int32Array.from(new TextEncoder().encode(prompt)),
    adapter: generation === null ? null : { generation },
    maxTokens,
    stopIds,
    sampling: { temperature: 0, seed: 0 },
  });
/** The data of every event. */
const chunksOf = async (response: Response) => {
  const events = (await response.text()).split("\n\n").filter((event) => event !== "");
  return events.map((event) => {
    expect(event.startsWith("data: ")).toBe(true);
    const data = event.slice(6);
    return data === "[DONE]" ? data : (JSON.parse(data) as Answer);
  });
};

describe("an unstreamed completion", () => {
  it("has OpenAI's shape, 16 tokens by default and counts them", async () => {
    const { status, json } = await ask({});
    expect(status).toBe(200);
    const text = textOf(greedy("hello", 16));
    expect(json).toMatchObject({
      object: "text_completion",
      model: "base",
      choices: [{ index: 0, text, finish_reason: "length", logprobs: null }],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 16,
        total_tokens: 21,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
    expect(json.id).toMatch(/^cmpl-/);
    expect(json.system_fingerprint).toBe(`fp_${test.context.base.signature.baseId.slice(0, 8)}`);
    expect(json.choices[0]).not.toHaveProperty("token_ids");
  });

  it("takes strings, token ids and lists of them, and gives each n choices in order", async () => {
    for (const prompt of ["ab", [97, 98]])
      expect((await ask({ prompt })).json.choices[0]?.text).toBe(textOf(greedy("ab", 16)));
    for (const prompt of [
      ["ab", "cd"],
      [
        [97, 98],
        [99, 100],
      ],
    ]) {
      const { json } = await ask({ prompt, n: 2 });
      const [ab, cd] = [textOf(greedy("ab", 16)), textOf(greedy("cd", 16))];
      expect(json.choices.map(({ index, text }) => [index, text])).toEqual([
        [0, ab],
        [1, ab],
        [2, cd],
        [3, cd],
      ]);
      expect(json.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 64, total_tokens: 68 });
    }
  });

  it("gives the i-th of n the seed seed + i, and draws one when there is none", async () => {
    await ask({ n: 3, seed: 2 ** 32 - 1, temperature: 1 });
    expect(test.engine.requests.map(({ sampling }) => sampling.seed)).toEqual([2 ** 32 - 1, 0, 1]);
    await ask({ seed: -1, temperature: 1 });
    await ask({ temperature: 1 });
    await ask({ temperature: 1 });
    const [negative, first, second] = test.engine.requests.slice(3).map(({ sampling }) => sampling.seed);
    expect(negative).toBe(2 ** 32 - 1);
    expect(first).not.toBe(second);
  });

  it("ends at an end token, which is counted and reported but no text", async () => {
    const { json } = await ask({ max_tokens: 100, return_token_ids: true });
    expect(json.choices[0]).toMatchObject({ finish_reason: "stop", text: textOf(greedy("hello", 100)) });
    expect(json.choices[0]?.token_ids?.at(-1)).toBe(END_ID);
    expect(json.usage.completion_tokens).toBe(41);
    expect(json.choices[0]?.prompt_token_ids).toEqual([...new TextEncoder().encode("hello")]);
  });

  it("goes on after it with ignore_eos, and shows it without skip_special_tokens", async () => {
    const { json } = await ask({ max_tokens: 60, ignore_eos: true, skip_special_tokens: false });
    expect(json.choices[0]).toMatchObject({ finish_reason: "length" });
    expect(json.choices[0]?.text).toContain("</s>");
    expect(json.usage.completion_tokens).toBe(60);
  });

  it("cuts at the first stop string, keeps it out, and stops the sequence", async () => {
    const full = textOf(greedy("hello", 16));
    const stop = full.slice(6, 8);
    const { json } = await ask({ stop: ["never in it", stop] });
    expect(json.choices[0]).toMatchObject({ text: full.slice(0, full.indexOf(stop)), finish_reason: "stop" });
    expect(test.engine.numRunning()).toBe(0);
  });

  it("leaves out the text of a stop token id that is no special token", async () => {
    const [, , third] = greedy("hello", 3);
    const { json } = await ask({ stop_token_ids: [third], return_token_ids: true });
    const ids = greedy("hello", 16, null, [third as number]);
    expect(json.choices[0]).toMatchObject({ text: textOf(ids.slice(0, -1)), finish_reason: "stop", token_ids: ids });
  });

  it("passes every sampling field on under our names", async () => {
    await ask({
      temperature: 0.7,
      top_p: 0.9,
      top_k: 5,
      min_p: 0.1,
      presence_penalty: 1,
      frequency_penalty: -1,
      repetition_penalty: 1.1,
      logit_bias: { "97": 3 },
      min_tokens: 2,
      logprobs: 4,
    });
    expect(test.engine.requests[0]).toMatchObject({
      tenant: "default",
      minTokens: 2,
      numLogprobs: 4,
      numPromptLogprobs: null,
      stopIds: [END_ID],
      sampling: {
        temperature: 0.7,
        topP: 0.9,
        topK: 5,
        minP: 0.1,
        presencePenalty: 1,
        frequencyPenalty: -1,
        repetitionPenalty: 1.1,
        logitBias: [[97, 3]],
      },
    });
  });

  it("takes null as absent, top_k -1 as off, and ignores unknown fields", async () => {
    const { status } = await ask({
      temperature: null,
      top_k: -1,
      stop: null,
      n: null,
      seed: null,
      logit_bias: null,
      made_up: 1,
      user: "u",
    });
    expect(status).toBe(200);
    expect(test.engine.requests[0]?.sampling).toMatchObject({ temperature: 1, topK: 0 });
  });
});

describe("log-probabilities", () => {
  it("are there for logprobs 0, one entry a token", async () => {
    const { json } = await ask({ logprobs: 0, max_tokens: 4 });
    const logprobs = json.choices[0]?.logprobs;
    expect(logprobs?.token_logprobs).toEqual([-0.5, -0.5, -0.5, -0.5]);
    expect(logprobs?.tokens.join("")).toBe(json.choices[0]?.text);
    expect(logprobs?.text_offset).toEqual([0, 1, 2, 3]);
  });

  it("score a prompt with echo and max_tokens 0", async () => {
    const { json } = await ask({ prompt: [104, 195, 169], echo: true, max_tokens: 0, logprobs: 2 });
    expect(json.choices[0]).toMatchObject({ text: "hé", finish_reason: "length" });
    expect(json.choices[0]?.logprobs).toMatchObject({
      token_logprobs: [null, -0.5, -0.5],
      tokens: ["h", "bytes:\\xc3", "bytes:\\xa9"],
      text_offset: [0, 1, 1],
    });
    expect(json.choices[0]?.logprobs?.top_logprobs[0]).toBeNull();
    expect(json.choices[0]?.logprobs?.top_logprobs[1]).toEqual({ "bytes:\\xc3": -0.5, "bytes:\\xc4": -1.5 });
    expect(json.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 });
  });

  it("of the prompt come before those of the answer with echo", async () => {
    const { json } = await ask({ echo: true, max_tokens: 2, logprobs: 1 });
    const { text, logprobs } = json.choices[0] as Choice;
    expect(text).toBe(`hello${textOf(greedy("hello", 2))}`);
    expect(logprobs?.tokens.join("")).toBe(text);
    expect(logprobs?.text_offset).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("are not asked of the engine for an echo without logprobs", async () => {
    const { json } = await ask({ echo: true, max_tokens: 2 });
    expect(json.choices[0]?.text).toBe(`hello${textOf(greedy("hello", 2))}`);
    expect(test.engine.requests[0]?.numPromptLogprobs).toBeNull();
  });
});

describe("a streamed completion", () => {
  it("joins to the unstreamed answer, whatever is asked for", async () => {
    const cases = [
      {},
      { n: 3 },
      { logprobs: 2, echo: true },
      { stop: ["e"] },
      { max_tokens: 60, return_token_ids: true },
      { prompt: ["a", "b"] },
    ];
    for (const body of cases) {
      const whole = (await ask({ seed: 5, ...body })).json;
      const response = await test.post(path, {
        model: "base",
        prompt: "hello",
        temperature: 0,
        seed: 5,
        ...body,
        stream: true,
      });
      expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
      const chunks = await chunksOf(response);
      expect(chunks.at(-1)).toBe("[DONE]");
      for (const choice of whole.choices) {
        const parts = chunks
          .flatMap((chunk) => (typeof chunk === "string" ? [] : chunk.choices))
          .filter(({ index }) => index === choice.index);
        expect(parts.map(({ text }) => text).join("")).toBe(choice.text);
        expect(parts.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null)).toEqual([
          choice.finish_reason,
        ]);
        expect(parts.flatMap(({ logprobs }) => logprobs?.token_logprobs ?? [])).toEqual(
          choice.logprobs?.token_logprobs ?? [],
        );
        expect(parts.flatMap(({ logprobs }) => logprobs?.text_offset ?? [])).toEqual(
          choice.logprobs?.text_offset ?? [],
        );
        expect(parts.flatMap(({ token_ids }) => token_ids ?? [])).toEqual(choice.token_ids ?? []);
      }
    }
  });

  it("ends with the usage when asked, all other chunks having none", async () => {
    const chunks = await chunksOf(
      await test.post(path, { model: "base", prompt: "hello", stream: true, stream_options: { include_usage: true } }),
    );
    const objects = chunks.filter((chunk) => typeof chunk !== "string") as Answer[];
    expect(objects.at(-1)).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 16,
        total_tokens: 21,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
    expect(objects.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  });

  it("answers an ordinary error when it fails before the first chunk", async () => {
    test.engine.failAt(0, new AppError("not_live", "Its rank is too high."));
    const response = await test.post(path, { model: "base", prompt: "hello", stream: true });
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ error: { code: "not_live" } });
  });

  it("ends with an error event and no [DONE] when it fails later", async () => {
    test.engine.failAt(3, new AppError("engine_unavailable", "The engine died."));
    const chunks = await chunksOf(await test.post(path, { model: "base", prompt: "hello", stream: true, n: 2 }));
    expect(chunks.at(-1)).toMatchObject({ error: { code: "engine_unavailable", type: "server_error", param: null } });
    expect(chunks).not.toContain("[DONE]");
    expect(test.engine.numRunning()).toBe(0);
  });
});

describe("who answers", () => {
  const generation = generationOf(fittingAdapter(1));
  beforeEach(async () => {
    expect((await test.put("acme", fittingAdapter(1))).status).toBe(201);
  });

  it("is the adapter named by model, base:adapter or adapter, with its generation in the fingerprint", async () => {
    for (const body of [
      { model: "acme" },
      { model: "base:acme" },
      { adapter: "acme" },
      { model: "acme", adapter: "acme" },
    ]) {
      const { json } = await ask(body);
      expect(json.choices[0]?.text).toBe(textOf(greedy("hello", 16, generation)));
      expect(json.system_fingerprint).toBe(
        `fp_${test.context.base.signature.baseId.slice(0, 8)}_${generation.slice(0, 8)}`,
      );
      expect(json.model).toBe(body.model ?? "base");
    }
    expect(textOf(greedy("hello", 16, generation))).not.toBe(textOf(greedy("hello", 16)));
  });

  it("is an adapter brought along, which is not stored", async () => {
    const bytes = fittingAdapter(2);
    const { json } = await ask({ adapter: { data: Buffer.from(bytes).toString("base64") } });
    expect(json.choices[0]?.text).toBe(textOf(greedy("hello", 16, generationOf(bytes))));
    expect(test.engine.requests[0]?.adapter?.inlineBytes).toEqual(new Uint8Array(bytes));
    expect(test.store.count()).toBe(1);
  });

  it.each([
    [{ model: "nobody" }, 404, "model_not_found"],
    [{ model: "../etc" }, 404, "model_not_found"],
    [{ model: "nobody:acme" }, 404, "model_not_found"],
    [{ model: "base:nobody" }, 404, "adapter_not_found"],
    [{ model: "base:" }, 404, "adapter_not_found"],
    [{ adapter: "nobody" }, 404, "adapter_not_found"],
    [{ adapter: "base" }, 404, "adapter_not_found"],
    [{ model: "acme", adapter: "other" }, 400, "invalid_request"],
    [{ model: "acme", adapter: { data: "AAAA" } }, 400, "invalid_request"],
    [{ adapter: { data: "AAAA" } }, 400, "adapter_invalid"],
    [{ adapter: { data: "not base64!" } }, 400, "adapter_invalid"],
    [{ adapter: {} }, 400, "invalid_request"],
    [{ adapter: 3 }, 400, "invalid_request"],
    [{ adapter: "" }, 400, "invalid_request"],
  ])("is never the base instead: %j", async (body, status, code) => {
    const answer = await ask(body);
    expect([answer.status, answer.json.error.code]).toEqual([status, code]);
    expect(test.engine.requests).toEqual([]);
  });

  it("keeps its generation while it runs and lets go of it afterwards, in every way out", async () => {
    const bodies = [
      {},
      { stream: true },
      { stop: ["e"] },
      { prompt: [] },
      { max_tokens: 1e6 },
      { logit_bias: { "999": 1 } },
    ];
    for (const body of bodies) await (await test.post(path, { model: "acme", prompt: "hello", ...body })).text();
    test.engine.failAt(2, new AppError("engine_unavailable", "The engine died."));
    await (await test.post(path, { model: "acme", prompt: "hello", stream: true })).text();
    test.engine.kill();
    await (await test.post(path, { model: "acme", prompt: "hello" })).text();
    await test.app.request("/v1/adapters/acme", { method: "DELETE" });
    await expect.poll(() => test.engine.dropped).toEqual([generation]);
    expect(test.context.inFlight.count).toBe(0);
  });
});

describe("a request that cannot be answered", () => {
  it.each([
    ["no model", { model: undefined }, "invalid_request", "model"],
    ["no prompt", { prompt: undefined }, "invalid_request", "prompt"],
    ["an empty list", { prompt: [] }, "invalid_request", "prompt"],
    ["an empty prompt", { prompt: "" }, "invalid_request", "prompt"],
    ["mixed prompts", { prompt: ["a", 1] }, "invalid_request", "prompt"],
    ["half a token", { prompt: [1.5] }, "invalid_request", "prompt"],
    ["a token beyond the vocabulary", { prompt: [VOCAB_SIZE] }, "invalid_request", "prompt"],
    ["a negative token", { prompt: [-1] }, "invalid_request", "prompt"],
    ["too many sequences", { prompt: Array(300).fill("a"), n: 2 }, "invalid_request", "prompt"],
    ["n 0", { n: 0 }, "invalid_request", "n"],
    ["n 129", { n: 129 }, "invalid_request", "n"],
    ["temperature 2.1", { temperature: 2.1 }, "invalid_request", "temperature"],
    ["temperature -1", { temperature: -1 }, "invalid_request", "temperature"],
    ["temperature as text", { temperature: "1" }, "invalid_request", "temperature"],
    ["top_p 1.1", { top_p: 1.1 }, "invalid_request", "top_p"],
    ["top_k -2", { top_k: -2 }, "invalid_request", "top_k"],
    ["min_p 2", { min_p: 2 }, "invalid_request", "min_p"],
    ["presence_penalty 3", { presence_penalty: 3 }, "invalid_request", "presence_penalty"],
    ["repetition_penalty 0", { repetition_penalty: 0 }, "invalid_request", "repetition_penalty"],
    ["max_tokens -1", { max_tokens: -1 }, "invalid_request", "max_tokens"],
    ["min_tokens above max_tokens", { min_tokens: 17 }, "invalid_request", "min_tokens"],
    ["an empty stop string", { stop: "" }, "invalid_request", "stop"],
    ["too many stop strings", { stop: Array(33).fill("x") }, "invalid_request", "stop"],
    ["a stop id beyond the vocabulary", { stop_token_ids: [VOCAB_SIZE] }, "invalid_request", "stop_token_ids"],
    ["a bias beyond the vocabulary", { logit_bias: { [VOCAB_SIZE]: 1 } }, "invalid_request", "logit_bias"],
    ["a bias above 100", { logit_bias: { "1": 101 } }, "invalid_request", "logit_bias.1"],
    ["logprobs 21", { logprobs: 21 }, "invalid_request", "logprobs"],
    ["logprobs true", { logprobs: true }, "invalid_request", "logprobs"],
    ["seed 1.5", { seed: 1.5 }, "invalid_request", "seed"],
    ["stream_options without stream", { stream_options: { include_usage: true } }, "invalid_request", "stream_options"],
    ["suffix", { suffix: "x" }, "unsupported_parameter", "suffix"],
    ["best_of below n", { best_of: 1, n: 2 }, "invalid_request", "best_of"],
    ["an unknown response_format", { response_format: { type: "yaml" } }, "invalid_request", "response_format.type"],
    ["two grammars", { guided_regex: "a", grammar: 'root ::= "a"' }, "invalid_request", "grammar"],
    ["a bad regex", { guided_regex: "(a" }, "invalid_request", "guided_regex"],
    ["a bad grammar", { grammar: "root ::= b" }, "invalid_request", "grammar"],
    ["an empty structured_outputs", { structured_outputs: {} }, "invalid_request", "structured_outputs"],
    ["an unknown schema keyword", { json_schema: { not: {} } }, "invalid_request", "json_schema"],
  ])("%s is refused and named", async (_, body, code, param) => {
    const { status, json } = await ask(body);
    expect([status, json.error.code, json.error.param, json.error.type]).toEqual([
      400,
      code,
      param,
      "invalid_request_error",
    ]);
    expect(test.engine.requests).toEqual([]);
  });

  it("is longer than the context: the numbers are told", async () => {
    const { status, json } = await ask({ prompt: "x".repeat(500), max_tokens: 20 });
    expect([status, json.error.code]).toEqual([400, "context_length_exceeded"]);
    expect(json.error.message).toMatch(
      /maximum context length is 512 tokens.*520 tokens \(500 in the prompt, 20 in the completion\)/,
    );
    expect((await ask({ prompt: "x".repeat(492), max_tokens: 20 })).status).toBe(200);
  });

  it("is a text that cannot fit whatever its tokens are, without encoding it", async () => {
    const { status, json } = await ask({ prompt: "x".repeat(1_000_000) });
    expect([status, json.error.code]).toEqual([400, "context_length_exceeded"]);
  });

  it("has a deadline that passes or makes no sense", async () => {
    const slow = await createTestApp({ stepMs: 20 });
    const headers = { "x-request-timeout-ms": "50" };
    const response = await slow.post(path, { model: "base", prompt: "hello" }, headers);
    expect([response.status, ((await response.json()) as Answer).error.code]).toEqual([504, "deadline_exceeded"]);
    expect(slow.engine.numRunning()).toBe(0);
    await slow[Symbol.asyncDispose]();
    for (const value of ["0", "-1", "soon", "1.5", "99999999999"]) {
      const { json } = await ask({}, { "x-request-timeout-ms": value });
      expect([json.error.code, json.error.param]).toEqual(["invalid_request", "x-request-timeout-ms"]);
    }
    expect((await ask({}, { "x-request-timeout-ms": "60000" })).status).toBe(200);
  });

  it("meets a full queue: 503, Retry-After, and none of its sequences left", async () => {
    const full = await createTestApp({ maxWaiting: 2 });
    const response = await full.post(path, { model: "base", prompt: "hello", n: 3 });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await response.json()).toMatchObject({ error: { code: "overloaded", type: "server_error" } });
    expect(full.engine.numRunning()).toBe(0);
    await full[Symbol.asyncDispose]();
  });
});
