/** What the log says of requests and of changes of adapters: one line each, with the facts and without the words. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
afterEach(() => test[Symbol.asyncDispose]());

interface Line {
  readonly msg: string;
  readonly level: number;
  readonly [field: string]: unknown;
}
const lines = (msg: string) => test.log.map((line) => JSON.parse(line) as Line).filter((line) => line.msg === msg);
const PINOS_OWN = ["level", "time", "pid", "hostname"];
const requests = () =>
  lines("request").map((line) =>
    Object.fromEntries(Object.entries(line).filter(([name]) => !PINOS_OWN.includes(name))),
  );
const generation = generationOf(fittingAdapter(1));

describe("a request's line", () => {
  it("says who asked for what, how long it took and how it ended", async () => {
    test = await createTestApp({ stepMs: 5, keys: [{ tenant: "acme", key: "secret-key" }] });
    const headers = { authorization: "Bearer secret-key", "x-request-id": "id-1" };
    await test.put("pirate", fittingAdapter(1), headers);
    const body = { model: "pirate", prompt: ["hello", "you"], max_tokens: 4, ignore_eos: true, n: 2 };
    await (await test.post("/v1/completions?x=1", body, headers)).text();
    expect(requests().at(-1)).toEqual({
      msg: "request",
      method: "POST",
      path: "/v1/completions",
      status: 200,
      tenant: "acme",
      adapter: "pirate",
      generation,
      promptTokens: 8,
      cachedTokens: 0,
      tokens: 16,
      finishReason: "length",
      requestId: "id-1",
      seconds: expect.any(Number),
      queueSeconds: expect.any(Number),
      firstTokenSeconds: expect.any(Number),
    });
    expect(test.log.join("")).not.toContain("secret-key");
  });

  it("of a stream is written at its end", async () => {
    test = await createTestApp({ stepMs: 10 });
    const response = await test.post("/v1/completions", { model: "base", prompt: "x", max_tokens: 20, stream: true });
    expect(requests()).toEqual([]);
    await response.text();
    await expect.poll(requests).toMatchObject([{ status: 200, tokens: 20, finishReason: "length" }]);
    expect(requests()[0]?.seconds).toBeGreaterThan(0.15);
  });

  it("is the same for Responses and Messages, streamed or not, and the metrics count them", async () => {
    test = await createTestApp({ logsPrompts: true });
    await test.put("pirate", fittingAdapter(1));
    const messages = [{ role: "user", content: "hi" }];
    const bodies = [
      ["/v1/responses", { model: "pirate", input: "hi", max_output_tokens: 4 }],
      ["/v1/messages", { model: "pirate", messages, max_tokens: 4 }],
    ] as const;
    for (const [path, body] of bodies)
      for (const stream of [false, true]) await (await test.post(path, { ...body, stream })).text();
    const line = { adapter: "pirate", generation, tokens: 4, finishReason: "length", status: 200 };
    await expect
      .poll(() => requests().slice(-4))
      .toMatchObject([
        ...Array<object>(2).fill({ ...line, path: "/v1/responses", prompt: "hi" }),
        ...Array<object>(2).fill({ ...line, path: "/v1/messages", prompt: messages }),
      ]);
    expect(await test.metrics.render()).toMatch(/^mosara_adapter_tokens_total\{.*kind="generation".*\} 16$/m);
  });

  it("says when a client left and when a stream failed", async () => {
    test = await createTestApp({ stepMs: 5 });
    const body = { model: "base", prompt: "x", max_tokens: 60, ignore_eos: true, stream: true };
    const left = await test.post("/v1/completions", body);
    await left.body?.cancel();
    await expect.poll(requests).toMatchObject([{ status: 200, finishReason: "abort" }]);
    const failed = await test.post("/v1/completions", body);
    await sleep(20);
    test.engine.kill();
    expect(await failed.text()).toContain("engine_unavailable");
    await expect.poll(() => requests().length).toBe(2);
    expect(requests()[1]).toMatchObject({ status: 200, finishReason: "error", error: "engine_unavailable" });
  });

  it("names the error of a refused one, and is there for what is no route", async () => {
    test = await createTestApp();
    await test.post("/v1/completions", { model: "nobody", prompt: "x" });
    await test.app.request("/nowhere");
    expect(requests()).toMatchObject([
      { status: 404, error: "model_not_found" },
      { status: 404, error: "not_found", path: "/nowhere" },
    ]);
  });

  it("of probes and scrapes is for those who debug", async () => {
    test = await createTestApp();
    for (const path of ["/healthz", "/livez", "/health", "/ping", "/readyz", "/metrics"]) await test.app.request(path);
    await test.app.request("/", { method: "OPTIONS" });
    await test.app.request("/v1/models");
    expect(lines("request").map(({ level }) => level)).toEqual([20, 20, 20, 20, 20, 20, 20, 30]);
  });
});

describe("prompts", () => {
  const askBoth = async () => {
    await test.post("/v1/completions", { model: "base", prompt: "confidential", max_tokens: 1 });
    const messages = [{ role: "user", content: "confidential" }];
    await test.post("/v1/chat/completions", { model: "base", messages, max_tokens: 1 });
    await test.post("/v1/completions", { model: "base", prompt: "confidential", max_tokens: "confidential" });
    await test.post("/v1/chat/completions", {
      model: "base",
      messages: [{ role: "user", content: "refuse confidential" }],
    });
  };

  it("are in no line", async () => {
    test = await createTestApp();
    await askBoth();
    expect(requests()).toHaveLength(4);
    expect(test.log.join("")).not.toContain("confidential");
  });

  it("are in the request's line with --log-prompts", async () => {
    test = await createTestApp({ logsPrompts: true });
    await askBoth();
    expect(requests().slice(0, 2)).toMatchObject([
      { prompt: "confidential" },
      { prompt: [{ role: "user", content: "confidential" }] },
    ]);
  });
});

describe("a change of an adapter", () => {
  it("is one line: what changed, to which content, for whom", async () => {
    test = await createTestApp();
    const headers = { "x-request-id": "id-2" };
    await test.put("acme", fittingAdapter(1), headers);
    await test.put("acme", fittingAdapter(1), headers);
    await test.put("acme", fittingAdapter(2), headers);
    await test.post("/v1/adapters/acme/placement", { placement: "merged" }, headers);
    await test.post("/v1/adapters/acme/placement", { placement: "live" }, headers);
    await test.app.request("/v1/adapters/acme", { method: "DELETE", headers });
    await test.put("broken", new Uint8Array([1, 2, 3]), headers);
    const changes = lines("adapter").filter(({ level }) => level >= 30);
    expect(changes.map(({ change, adapter }) => [change, adapter])).toEqual([
      ["created", "acme"],
      ["replaced", "acme"],
      ["merged", "acme"],
      ["live", "acme"],
      ["deleted", "acme"],
    ]);
    const other = generationOf(fittingAdapter(2));
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      [undefined, generation],
      [generation, other],
      [other, other],
      [other, other],
      [other, undefined],
    ]);
    expect(changes[0]).toMatchObject({ owner: "default", tenant: "default", requestId: "id-2", source: "request" });
  });
});
