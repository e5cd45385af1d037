/**
 * POST /v1/embeddings over the arithmetic engine: forms of input and answer, poolings, counts, errors and what is left
 * behind.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import type { CardValue } from "../../src/adapter/adapter.ts";
import { AppError } from "../../src/errors.ts";
import { EMBEDDING_FIELDS } from "../../src/fields/embedding-fields.ts";
import { embeddingRequest } from "../../src/http/embeddings/request-schema.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";
import { HIDDEN_SIZE, pooledVector } from "../helpers/engine/arithmetic-engine.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../helpers/http-app.ts";

let test: TestApp;
const restart = async (options: TestAppOptions): Promise<void> => {
  await test[Symbol.asyncDispose]();
  test = await createTestApp(options);
};
beforeEach(async () => {
  test = await createTestApp();
});
afterEach(() => test[Symbol.asyncDispose]());

interface Answer {
  object: string;
  model: string;
  system_fingerprint: string;
  data: { object: string; index: number; embedding: number[] | string }[];
  usage: { prompt_tokens: number; total_tokens: number };
  error?: { code: string; param: string | null; message: string };
}
const ask = async (body: object, headers?: Record<string, string>, signal?: AbortSignal) => {
  const response = await test.post("/v1/embeddings", { model: "base", input: "hello", ...body }, headers, signal);
  return { status: response.status, json: (await response.json()) as Answer };
};
const vectorsOf = async (body: object): Promise<number[][]> => {
  const { status, json } = await ask(body);
  expect(status, JSON.stringify(json.error)).toBe(200);
  return json.data.map(({ embedding }) => embedding as number[]);
};
const idsOf = (text: string) => Int32Array.from(new TextEncoder().encode(text));
const lengthOf = (vector: readonly number[]) => Math.hypot(...vector);
/** The vector of a text as the engine gives it, brought to the length 1. */
const wanted = (text: string, pooling: "mean" | "last" = "mean", generation: string | null = null): number[] => {
  const pooled = pooledVector({
    promptIds: idsOf(text),
    pooling,
    adapter: generation === null ? null : { generation },
  });
  return [...pooled].map((value) => value / lengthOf([...pooled]));
};
const expectClose = (got: readonly number[] | undefined, expected: readonly number[]) => {
  expect(got).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(got?.[i]).toBeCloseTo(value, 6);
};

describe("an embedding", () => {
  it("is the pooled vector of the input, of length 1, with OpenAI's frame and counts", async () => {
    const { status, json } = await ask({ user: "someone" });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      object: "list",
      model: "base",
      data: [{ object: "embedding", index: 0 }],
      usage: { prompt_tokens: 5, total_tokens: 5 },
    });
    const [vector] = json.data.map(({ embedding }) => embedding as number[]);
    expectClose(vector, wanted("hello"));
    expect(lengthOf(vector!)).toBeCloseTo(1, 6);
  });

  it("accepts a text, texts, ids and lists of ids, and keeps their order", async () => {
    const texts = Array.from({ length: 40 }, (_, i) => `text ${i}`);
    const vectors = await vectorsOf({ input: texts });
    for (const [i, text] of texts.entries()) expectClose(vectors[i], wanted(text));
    expect(await vectorsOf({ input: [...idsOf("text 7")] })).toEqual([vectors[7]]);
    const lists = texts.slice(3, 6).map((text) => [...idsOf(text)]);
    expect(await vectorsOf({ input: lists })).toEqual(vectors.slice(3, 6));
  });

  it("is the same as base64 and as numbers", async () => {
    const [numbers] = await vectorsOf({ encoding_format: "float" });
    const { json } = await ask({ encoding_format: "base64" });
    const bytes = Buffer.from(json.data[0]!.embedding as string, "base64");
    expect(bytes).toHaveLength(4 * HIDDEN_SIZE);
    expect(Array.from({ length: HIDDEN_SIZE }, (_, i) => bytes.readFloatLE(4 * i))).toEqual(numbers);
  });

  it("keeps leading numbers with dimensions, and makes the length 1 after that", async () => {
    const [whole] = await vectorsOf({ normalize: false });
    const [cut] = await vectorsOf({ dimensions: 4 });
    const length = lengthOf(whole!.slice(0, 4));
    expectClose(
      cut,
      whole!.slice(0, 4).map((value) => value / length),
    );
    expect(await vectorsOf({ dimensions: 2, normalize: false })).toEqual([whole!.slice(0, 2)]);
    expect(await vectorsOf({ dimensions: HIDDEN_SIZE })).toEqual(await vectorsOf({}));
  });

  it("adds special tokens to texts unless it shall not, and cuts inputs to a number of tokens", async () => {
    await restart({ startIds: [1, 2] });
    await ask({ input: "abc" });
    await ask({ input: "abc", add_special_tokens: false });
    await ask({ input: "abcdef", truncate_prompt_tokens: 4 });
    await ask({ input: [5, 6, 7], truncate_prompt_tokens: 2, truncation_side: "right" });
    expect(test.engine.requests.map(({ promptIds }) => [...promptIds])).toEqual([
      [1, 2, 97, 98, 99],
      [97, 98, 99],
      [1, 2, 101, 102],
      [5, 6],
    ]);
  });
});

describe("the pooling", () => {
  const put = async (name: string, seed: number, pooling: CardValue) =>
    await test.put(name, encodeAdapter({ ...madeUpAdapter({ seed }), card: { pooling } }));

  it("is the request's, or that of the adapter's card, or the mean", async () => {
    await put("lasting", 5, "last");
    const generation = generationOf(encodeAdapter({ ...madeUpAdapter({ seed: 5 }), card: { pooling: "last" } }));
    expectClose((await vectorsOf({ pooling: "last" }))[0], wanted("hello", "last"));
    expectClose((await vectorsOf({ model: "lasting" }))[0], wanted("hello", "last", generation));
    expectClose((await vectorsOf({ adapter: "lasting", pooling: "mean" }))[0], wanted("hello", "mean", generation));
    const data = Buffer.from(encodeAdapter({ ...madeUpAdapter({ seed: 5 }), card: { pooling: "last" } }));
    expectClose(
      (await vectorsOf({ adapter: { data: data.toString("base64") } }))[0],
      wanted("hello", "last", generation),
    );
  });

  it("is asked for where the card says one that is not here, or the cards of a blend differ", async () => {
    await put("lasting", 5, "last");
    await put("lasting-too", 6, "last");
    await put("mean", 7, "mean");
    await put("cls", 8, "cls");
    const codeOf = async (body: object) => {
      const { status, json } = await ask(body);
      return [status, json.error?.code, json.error?.param];
    };
    expect(await codeOf({ model: "cls" })).toEqual([400, "unsupported_parameter", "pooling"]);
    expect(await codeOf({ adapter: { blend: { lasting: 1, mean: 1 } } })).toEqual([400, "invalid_request", "pooling"]);
    expect(await codeOf({ adapter: { blend: { lasting: 1, mean: 1 } }, pooling: "mean" })).toEqual([
      200,
      undefined,
      undefined,
    ]);
    expect((await ask({ adapter: { blend: { lasting: 1, "lasting-too": 1 } } })).status).toBe(200);
    expect(test.engine.requests.at(-1)?.pooling).toBe("last");
  });
});

describe("a request", () => {
  it("names its model and adapter as a completion does", async () => {
    await test.put("acme", fittingAdapter(1));
    const generation = generationOf(fittingAdapter(1));
    for (const body of [{ model: "acme" }, { model: "base:acme" }, { adapter: "acme" }, { lora_name: "acme" }]) {
      const { json } = await ask(body);
      expectClose(json.data[0]!.embedding as number[], wanted("hello", "mean", generation));
      expect(json.system_fingerprint).toContain(generation.slice(0, 8));
    }
  });

  it("has a few inputs in the engine at a time, and fails as one", async () => {
    await restart({ stepMs: 5 });
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, test.engine.numRunning())), 1);
    await vectorsOf({ input: Array.from({ length: 30 }, (_, i) => `text ${i}`) });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
    test.engine.failAt(0, new AppError("deadline_exceeded", "The deadline passed."));
    const { status, json } = await ask({ input: ["a", "b", "c", "d", "e", "f"] });
    clearInterval(timer);
    expect([status, json.error?.code]).toEqual([504, "deadline_exceeded"]);
    expect([test.engine.numRunning(), test.context.inFlight.count]).toEqual([0, 0]);
  });

  it("leaves nothing behind when its client goes", async () => {
    await restart({ stepMs: 30 });
    await test.put("acme", fittingAdapter(1));
    const url = await test.listen();
    const aborter = new AbortController();
    const request = fetch(`${url}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "acme", input: Array.from({ length: 50 }, (_, i) => `text ${i}`) }),
      signal: aborter.signal,
    });
    await expect.poll(() => test.engine.numRunning()).toBeGreaterThan(0);
    aborter.abort();
    await expect(request).rejects.toThrow();
    await expect.poll(() => [test.engine.numRunning(), test.context.inFlight.count]).toEqual([0, 0]);
    const numAsked = test.engine.requests.length;
    await sleep(50);
    expect(test.engine.requests).toHaveLength(numAsked);
    await test.app.request("/v1/adapters/acme", { method: "DELETE" });
    expect(test.store.content(generationOf(fittingAdapter(1)))).toBeUndefined(); // nothing holds it
  });

  it("is counted and logged like others", async () => {
    await test.put("acme", fittingAdapter(1));
    await ask({ model: "acme", input: ["hello", "you"] });
    const line = test.log.map((one) => JSON.parse(one) as object).at(-1);
    expect(line).toMatchObject({ adapter: "acme", promptTokens: 8, tokens: 0, finishReason: "stop" });
    const metrics = await (await test.app.request("/metrics")).text();
    expect(metrics).toMatch(/vllm:prompt_tokens_total\{[^}]*\} 8\n/);
    expect(metrics).toMatch(/vllm:request_success_total\{[^}]*finished_reason="stop"[^}]*\} 2\n/);
  });

  it.each([
    [{ input: undefined }, 400, "invalid_request", "input"],
    [{ input: [] }, 400, "invalid_request", "input"],
    [{ input: "" }, 400, "invalid_request", "input"],
    [{ input: ["a", 5] }, 400, "invalid_request", "input"],
    [{ input: { text: "a" } }, 400, "invalid_request", "input"],
    [{ input: [1.5] }, 400, "invalid_request", "input"],
    [{ input: [999] }, 400, "invalid_request", "input"],
    [{ input: Array.from({ length: 2049 }, () => "a") }, 400, "invalid_request", "input"],
    [{ input: "x".repeat(600) }, 400, "context_length_exceeded", "input"],
    [{ dimensions: 7 }, 400, "invalid_request", "dimensions"],
    [{ dimensions: 0 }, 400, "invalid_request", "dimensions"],
    [{ encoding_format: "int8" }, 400, "invalid_request", "encoding_format"],
    [{ pooling: "cls" }, 400, "invalid_request", "pooling"],
    [{ model: "nobody" }, 404, "model_not_found", "model"],
    [{ adapter: "nobody" }, 404, "adapter_not_found", "adapter"],
    [{ messages: [] }, 400, "unsupported_parameter", "messages"],
    [{ embd_normalize: 1 }, 400, "unsupported_parameter", "embd_normalize"],
    [{ lora_id: 3 }, 400, "unsupported_parameter", "lora_id"],
  ])("%j: %i %s", async (body, status, code, param) => {
    const { status: got, json } = await ask(body);
    expect([got, json.error?.code, json.error?.param]).toEqual([status, code, param]);
    expect(test.context.inFlight.count).toBe(0);
  });

  it("may have to have known fields alone", async () => {
    expect((await ask({ temprature: 1 })).status).toBe(200);
    await restart({ refusesUnknownFields: true });
    const { json } = await ask({ dimension: 3 });
    expect(json.error?.message).toContain('Did you mean "dimensions"?');
  });
});

describe("the table of fields", () => {
  it("has every name once, and every field of the schema", () => {
    const names = EMBEDDING_FIELDS.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(Object.keys(embeddingRequest.shape)));
  });

  it("refuses what it says it refuses, and takes its neutral values", async () => {
    for (const { name, treatment } of EMBEDDING_FIELDS)
      if (treatment.kind === "refused") {
        const { status, json } = await ask({ [name]: "some value" });
        const isNeutral = treatment.neutral.holds("some value", {});
        expect([name, status, json.error?.param]).toEqual(isNeutral ? [name, 200, undefined] : [name, 400, name]);
      }
  });
});
