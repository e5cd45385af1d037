/**
 * Speculation over HTTP, on the demo in float32, with a grammar and without. The answers are those of a server without
 * it, and a row's bits do not depend on other rows.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { complete, type Completion, metric, startServer, type TestServer, untilIdle } from "../../helpers/server.ts";

const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    category: { enum: ["restaurant", "coffee shop"] },
    opening_hours: {
      type: "array",
      items: {
        type: "object",
        properties: {
          weekday: { enum: ["Monday", "Tuesday"] },
          opens_at: { type: "integer", minimum: 0, maximum: 24 },
        },
        required: ["weekday", "opens_at"],
        additionalProperties: false,
      },
      minItems: 2,
      maxItems: 3,
    },
  },
  required: ["name", "category", "opening_hours"],
  additionalProperties: false,
};
const LIST = "red kettle, blue kettle, green kettle, white kettle, ";
const FREE = [
  { prompt: LIST + LIST },
  { prompt: LIST + LIST, model: "pirate", frequency_penalty: 0.3, temperature: 0.8, seed: 9 },
  { prompt: LIST, model: "steps", logprobs: 3, min_tokens: 70 },
  { prompt: LIST + LIST, stop: ["white"], n: 2, temperature: 0.3, seed: 2 },
].map((request) => ({ model: "demo", max_tokens: 80, temperature: 0, ...request }));
const BOUND = [
  { model: "json" },
  { model: "steps", frequency_penalty: 0.5, temperature: 0.7, seed: 4 },
  { model: "demo", max_tokens: 37 },
  { model: "demo", stop: ["category"] },
  { model: "bedtime", min_tokens: 20, n: 2, temperature: 1, seed: 5 },
].map((request) => ({ max_tokens: 90, temperature: 0, prompt: "A place as JSON: ", json_schema: SCHEMA, ...request }));
const REQUESTS = [...BOUND, ...FREE];

let plain: TestServer;
let speculating: TestServer;
beforeAll(async () => {
  [plain, speculating] = await Promise.all([startServer([]), startServer(["--speculative-tokens", "8"])]);
});
afterAll(async () => {
  await plain[Symbol.asyncDispose]();
  await speculating[Symbol.asyncDispose]();
});

async function ask(url: string, body: object): Promise<Completion["choices"]> {
  const { status, json, text } = await complete(url, { logprobs: 1, ...body });
  expect(status, text).toBe(200);
  return json.choices;
}

const logprobsOf = (choices: Completion["choices"]): number[] =>
  choices.flatMap(({ logprobs }) => (logprobs as { token_logprobs: number[] } | null)?.token_logprobs ?? []);

describe("speculation", () => {
  it("answers as a server without it", async () => {
    for (const request of REQUESTS) {
      const [one, other] = [await ask(plain.url, request), await ask(speculating.url, request)];
      const facts = (choices: typeof one) => choices.map(({ text, finish_reason: reason }) => [text, reason]);
      expect(facts(other), JSON.stringify(request)).toEqual(facts(one));
      const expected = logprobsOf(one);
      expect(expected.length).toBeGreaterThan(0);
      for (const [i, logprob] of logprobsOf(other).entries()) expect(logprob).toBeCloseTo(expected[i] ?? NaN, 3);
    }
  });

  it("gives the same bits alone and beside others", async () => {
    const alone = [];
    for (const request of REQUESTS) alone.push(await ask(speculating.url, request));
    const free = { model: "pirate", prompt: "Hello, ", max_tokens: 100, temperature: 0 };
    const [together] = await Promise.all([
      Promise.all(REQUESTS.map((request) => ask(speculating.url, request))),
      ...Array.from({ length: 4 }, () => ask(speculating.url, free)),
    ]);
    expect(together).toEqual(alone);
  });

  it("computes several tokens in one step, and counts them", async () => {
    const count = (name: string): Promise<number> => metric(speculating.url, `vllm:spec_decode_num_${name}_total`);
    const counts = async (): Promise<number[]> => {
      await untilIdle(speculating.url);
      return [await count("drafts"), await count("draft_tokens"), await count("accepted_tokens")];
    };
    for (const requests of [BOUND, FREE]) {
      const before = await counts();
      for (const request of requests) await ask(speculating.url, request);
      const [drafts = 0, drafted = 0, accepted = 0] = (await counts()).map((value, i) => value - (before[i] ?? 0));
      expect(drafts).toBeGreaterThan(0);
      expect(drafted).toBeGreaterThan(drafts);
      expect(accepted).toBeGreaterThan(0);
      expect(accepted).toBeLessThanOrEqual(drafted);
    }
    expect(await metric(plain.url, "vllm:spec_decode_num_drafts_total")).toBe(0);
  });
});
