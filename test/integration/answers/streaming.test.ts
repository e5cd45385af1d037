/** Streams stream and batches batch, over HTTP on a real model. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import { complete, metric, startServer, stream, type TestServer, untilIdle } from "../../helpers/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer(["--model", await longLlamaBase(1024), "--served-model-name", "base"]);
});
afterAll(() => server[Symbol.asyncDispose]());

const promptOf = (length: number): number[] => Array.from({ length }, (_, i) => 3 + ((i * 7) % 300));

describe("a stream", () => {
  it("brings its first chunk before a fifth of its time, and its tokens one by one", async () => {
    const body = { model: "base", prompt: promptOf(20), max_tokens: 200 };
    await stream(server.url, body).ended; // the first answer of a server pays for the connection and compiled code
    const startedAt = performance.now();
    const answer = await stream(server.url, body).ended;
    const seconds = performance.now() - startedAt;
    expect(answer).toMatchObject({ status: 200, isDone: true, errorCode: null });
    expect(answer.ids).toHaveLength(200);
    expect(answer.numChunks).toBe(200);
    expect((answer.firstAt ?? Infinity) - startedAt).toBeLessThan(0.2 * seconds);
  });

  it("brings the same tokens as a whole answer", async () => {
    const body = { model: "base", prompt: promptOf(70), max_tokens: 50, temperature: 1, seed: 5 };
    const { json } = await complete(server.url, body);
    expect((await stream(server.url, body).ended).ids).toEqual(json.choices[0]?.token_ids);
  });
});

/**
 * Long answers: on a model whose steps take a millisecond, requests that arrive one after the other cost steps of their
 * own.
 */
const NUM_TOKENS = 700;

describe("sixteen equal requests", () => {
  it.each([4, 100, 300])("with prompts of %i tokens take few more decode steps than one", async (length) => {
    const body = { model: "base", prompt: promptOf(length), max_tokens: NUM_TOKENS };
    const countSteps = async (count: number): Promise<number> => {
      const read = () => metric(server.url, 'mosara_engine_steps_total{phase="decode"}');
      const before = await read();
      const answers = await Promise.all(Array.from({ length: count }, () => complete(server.url, body)));
      for (const { json } of answers) expect(json.choices[0]?.token_ids).toHaveLength(NUM_TOKENS);
      await untilIdle(server.url);
      return (await read()) - before;
    };
    const one = await countSteps(1);
    expect(one).toBe(NUM_TOKENS - 1);
    expect(await countSteps(16)).toBeLessThanOrEqual(1.2 * one);
  });
});
