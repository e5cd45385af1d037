/** Over real HTTP: streams, disconnects, limits, and OpenAI's own client. */
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";

let test: TestApp;
let url: string;
beforeEach(async () => {
  test = await createTestApp({ stepMs: 10, maxAdapterBytes: 2 ** 16, maxJsonBytes: 2 ** 16 });
  url = await test.listen();
});
afterEach(() => test[Symbol.asyncDispose]());

const longRequest = (stream: boolean) =>
  JSON.stringify({ model: "acme", prompt: "hello", max_tokens: 400, ignore_eos: true, stream, n: 2 });
const post = (body: string, init: RequestInit = {}) =>
  fetch(`${url}/v1/completions`, { method: "POST", headers: { "content-type": "application/json" }, body, ...init });

describe("a stream", () => {
  it("brings its first chunk long before its end", async () => {
    // The first request of a process also pays for what is loaded and compiled once.
    await (await post(JSON.stringify({ model: "base", prompt: "hello", max_tokens: 1, stream: true }))).text();
    const startedAt = performance.now();
    const response = await post(
      JSON.stringify({ model: "base", prompt: "hello", max_tokens: 100, ignore_eos: true, stream: true }),
    );
    const reader = response.body?.getReader();
    await reader?.read();
    const firstAt = performance.now() - startedAt;
    for (;;) if ((await reader?.read())?.done !== false) break;
    expect(firstAt).toBeLessThan((performance.now() - startedAt) * 0.2);
  });
});

describe("a client that leaves", () => {
  beforeEach(async () => {
    await test.put("acme", fittingAdapter(1));
  });
  const isFree = async () => {
    await expect.poll(() => test.engine.numRunning(), { interval: 5 }).toBe(0);
    await expect.poll(() => test.context.inFlight.count).toBe(0);
    await test.app.request("/v1/adapters/acme", { method: "DELETE" });
    await expect.poll(() => test.engine.dropped).toEqual([generationOf(fittingAdapter(1))]);
    expect(test.log.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  };

  it("by closing a stream frees everything within a step or two", async () => {
    const abort = new AbortController();
    const response = await post(longRequest(true), { signal: abort.signal });
    await response.body?.getReader().read();
    expect(test.engine.numRunning()).toBe(2);
    abort.abort();
    const leftAt = performance.now();
    await expect.poll(() => test.engine.numRunning(), { interval: 2 }).toBe(0);
    expect(performance.now() - leftAt).toBeLessThan(200);
    await isFree();
  });

  it("before an unstreamed answer frees everything", async () => {
    const abort = new AbortController();
    const response = post(longRequest(false), { signal: abort.signal });
    await expect.poll(() => test.engine.numRunning()).toBe(2);
    abort.abort();
    await expect(response).rejects.toThrow();
    await isFree();
  });

  it.each(["FIN", "RST"] as const)("by a %s frees everything", async (way) => {
    for (const stream of [true, false]) {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      const body = longRequest(stream);
      socket.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      await expect.poll(() => test.engine.numRunning()).toBe(2);
      if (stream) await new Promise((resolve) => socket.once("data", resolve));
      if (way === "FIN") socket.destroy();
      else socket.resetAndDestroy();
      await expect.poll(() => test.engine.numRunning(), { interval: 5 }).toBe(0);
    }
    await isFree();
  });

  it("is counted as aborted", async () => {
    const abort = new AbortController();
    await post(longRequest(true), { signal: abort.signal });
    abort.abort();
    await expect
      .poll(async () => await test.metrics.render())
      .toContain('vllm:request_success_total{model_name="base",finished_reason="abort"} 2');
  });

  it("does not read slows down only itself", async () => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    const body = JSON.stringify({ model: "base", prompt: "hello", max_tokens: 50, stream: true });
    socket.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    const response = await post(JSON.stringify({ model: "base", prompt: "hello", max_tokens: 3 }));
    expect(response.status).toBe(200);
    socket.destroy();
  });
});

describe("limits", () => {
  it("hold for bodies that lie about their length or have none", async () => {
    const send = (headers: Record<string, string | number>, path: string, method: string, size: number) =>
      new Promise<number>((resolve, reject) => {
        const request = httpRequest(`${url}${path}`, { method, headers }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        request.on("error", reject);
        request.write(Buffer.alloc(size, 0x20));
        request.end();
      });
    expect(await send({ "content-length": 100_000 }, "/v1/completions", "POST", 100_000)).toBe(413);
    expect(await send({ "transfer-encoding": "chunked" }, "/v1/completions", "POST", 100_000)).toBe(413);
    expect(await send({ "transfer-encoding": "chunked" }, "/v1/adapters/acme", "PUT", 100_000)).toBe(413);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it("do not let a half-sent body leave anything behind", async () => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const file = fittingAdapter(1);
    socket.write(`PUT /v1/adapters/half HTTP/1.1\r\nhost: x\r\ncontent-length: ${file.byteLength}\r\n\r\n`);
    socket.write(file.subarray(0, file.byteLength / 2));
    await sleep(50);
    socket.destroy();
    await expect.poll(() => test.context.inFlight.count).toBe(0);
    expect((await fetch(`${url}/v1/adapters/half`)).status).toBe(404);
    expect(test.log.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  });
});

describe("OpenAI's client", () => {
  const client = () => new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const messages = [{ role: "user" as const, content: "hi" }];

  it("chats, streamed and not", async () => {
    const whole = await client().chat.completions.create({
      model: "base",
      messages,
      max_tokens: 8,
      temperature: 0,
      logprobs: true,
    });
    const stream = await client().chat.completions.create({
      model: "base",
      messages,
      max_tokens: 8,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(usage).toEqual(whole.usage);
    expect(whole.choices[0]?.logprobs?.content).toHaveLength(8);
    expect(whole._request_id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("helps itself to the final message with its own stream helper", async () => {
    const final = await client()
      .chat.completions.stream({ model: "base", messages, max_tokens: 8, temperature: 0 })
      .finalChatCompletion();
    expect(final.choices[0]?.message.content).toHaveLength(8);
  });

  it("completes, lists and retrieves models", async () => {
    await test.put("acme", fittingAdapter(1));
    const completion = await client().completions.create({ model: "acme", prompt: ["a", "b"], max_tokens: 4 });
    expect(completion.choices).toHaveLength(2);
    const ids = [];
    for await (const model of client().models.list()) ids.push(model.id);
    expect(ids).toEqual(["base", "acme"]);
    expect((await client().models.retrieve("base:acme")).id).toBe("base:acme");
  });

  it("gets its own classes of errors, with code and param", async () => {
    const fail = async (body: object) =>
      await client()
        .chat.completions.create({ model: "base", messages, ...body } as OpenAI.ChatCompletionCreateParamsNonStreaming)
        .then(
          () => undefined,
          (error: unknown) => error,
        );
    expect(await fail({ temperature: 3 })).toMatchObject({
      status: 400,
      code: "invalid_request",
      param: "temperature",
      type: "invalid_request_error",
    });
    expect(await fail({ model: "nobody" })).toBeInstanceOf(OpenAI.NotFoundError);
    test.engine.kill();
    expect(await fail({})).toMatchObject({ status: 503, code: "engine_unavailable" });
  });

  it("hears of a stream that fails midway", async () => {
    const stream = await client().chat.completions.create({ model: "base", messages, max_tokens: 100, stream: true });
    const read = async () => {
      let count = 0;
      for await (const chunk of stream) if (chunk.choices.length > 0 && ++count === 3) test.engine.kill();
    };
    await expect(read()).rejects.toThrow(/engine died/i);
  });
});
