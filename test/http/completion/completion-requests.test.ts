/** Which adapter the request of a completion names, and requests that cannot be answered. */
import { beforeEach, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { AppError } from "../../../src/errors.ts";
import { VOCAB_SIZE } from "../../helpers/engine/arithmetic-engine.ts";
import { createTestApp, fittingAdapter } from "../../helpers/http-app.ts";
import { test, type Answer, path, ask, textOf, greedy, useTestApp } from "../../helpers/http/completions.ts";

useTestApp();

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

  it("is longer than the context: the numbers are reported", async () => {
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
