/**
 * Answers bound to grammars over HTTP, on a model with random weights and on the demo. The authority of JSON is ajv.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readManifest } from "../../../src/base/manifest.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import { sampleSchemas } from "../../helpers/random-schemas.ts";
import {
  complete,
  type Completion,
  putAdapter,
  send,
  startServer,
  type TestServer,
  untilIdle,
} from "../../helpers/server.ts";

const NUM_AT_ONCE = 16;

const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);

let random: TestServer;
let demo: TestServer;
beforeAll(async () => {
  const base = await longLlamaBase(1024);
  random = await startServer(["--model", base, "--served-model-name", "base"]);
  const manifest = await readManifest(base);
  await putAdapter(random.url, "one", adapterFile(manifest, { seed: 1 }));
  await putAdapter(random.url, "three", adapterFile(manifest, { heads: 3, router: "full", seed: 2 }));
  await putAdapter(random.url, "sara", adapterFile(manifest, { method: "sara", seed: 3 }));
  await putAdapter(random.url, "lora", adapterFile(manifest, { method: "lora", rank: 8, seed: 4 }));
  demo = await startServer([]);
});
afterAll(async () => {
  await random[Symbol.asyncDispose]();
  await demo[Symbol.asyncDispose]();
});

const PROMPT = [5, 6, 7, 8, 9, 10, 200, 13, 21];

async function ask(url: string, body: object): Promise<Completion["choices"][number]> {
  const { status, json, text } = await complete(url, { prompt: PROMPT, ignore_eos: false, ...body });
  expect(status, text).toBe(200);
  return json.choices[0]!;
}

describe.each([
  ["random weights", 150, () => random.url, ["base", "one", "three", "sara", "lora"]],
  ["the demo", 60, () => demo.url, ["demo", "pirate", "json", "terse"]],
] as const)("%s", (_, numSchemas, url, models) => {
  it(`answers ${numSchemas} random schemas with JSON that satisfies them`, async () => {
    const schemas = sampleSchemas(numSchemas, 5);
    let numEnded = 0;
    const check = async (schema: object, number: number): Promise<void> => {
      const { text, finish_reason: reason } = await ask(url(), {
        model: models[number % models.length],
        json_schema: schema,
        temperature: number % 2,
        seed: number,
        max_tokens: 500,
      });
      if (reason !== "stop") return;
      numEnded++;
      const validate = ajv.compile(schema);
      expect(validate(JSON.parse(text)), JSON.stringify([schema, text, validate.errors])).toBe(true);
    };
    const rest = [...schemas.entries()];
    const worker = async (): Promise<void> => {
      for (let next = rest.pop(); next; next = rest.pop()) await check(next[1], next[0]);
    };
    await Promise.all(Array.from({ length: NUM_AT_ONCE }, worker));
    expect(numEnded).toBeGreaterThan(0.8 * numSchemas);
  }, 240_000);
});

const NUMBERED = { json_schema: { type: "array", items: { enum: ["red", "green", 17] }, minItems: 4, maxItems: 9 } };

/** Requests of every kind of grammar, and some without one. */
const REQUESTS: readonly object[] = [
  { ...NUMBERED, model: "base", temperature: 0 },
  { ...NUMBERED, model: "one", temperature: 1, seed: 1, repetition_penalty: 1.3, presence_penalty: 0.5 },
  { model: "sara", guided_regex: "[a-z]{5,30}\\d+", temperature: 0.7, seed: 2, top_k: 70 },
  { model: "lora", temperature: 0.8, seed: 3 },
  { model: "three", grammar: 'root ::= "(" root ")" | [a-z]', temperature: 0.9, seed: 4, top_p: 0.8 },
  { model: "base", temperature: 0 },
  { model: "one", guided_choice: ["alpha", "beta", "gamma"], temperature: 1.5, seed: 6, logit_bias: { "17": 5 } },
  { model: "base", response_format: { type: "json_object" }, temperature: 1, seed: 7, min_p: 0.01 },
];

describe("isolation", () => {
  it("a request has the same bits alone and beside others, with and without grammars", async () => {
    const run = async (number: number): Promise<unknown> => {
      const { token_ids, logprobs, finish_reason } = await ask(random.url, {
        ...REQUESTS[number % REQUESTS.length],
        prompt: PROMPT.slice(number % 5),
        max_tokens: 24,
        logprobs: 3,
      });
      return [token_ids, logprobs, finish_reason];
    };
    const alone: unknown[] = [];
    for (let number = 0; number < 16; number++) {
      alone.push(await run(number));
      await untilIdle(random.url);
    }
    for (const crowd of [2, 5, 16]) {
      const together = await Promise.all(Array.from({ length: crowd }, (_, number) => run(number)));
      expect(together).toEqual(alone.slice(0, crowd));
    }
  }, 120_000);

  it("a merged engine binds answers too", async () => {
    const body = { model: "one", guided_regex: "(ab|ba){3}\\d", temperature: 0, max_tokens: 20 };
    const live = await ask(random.url, body);
    await send(`${random.url}/v1/adapters/one/placement`, "POST", { placement: "merged" });
    expect((await ask(random.url, body)).text).toMatch(/^(ab|ba){3}\d$/);
    await send(`${random.url}/v1/adapters/one/placement`, "POST", { placement: "live" });
    expect(await ask(random.url, body)).toEqual(live);
  }, 120_000);
});

describe("with other fields", () => {
  it("ends with the grammar, whatever min_tokens and ignore_eos say", async () => {
    const { text, finish_reason } = await ask(demo.url, {
      model: "demo",
      guided_regex: "[ab]{3}",
      min_tokens: 50,
      max_tokens: 60,
      ignore_eos: true,
    });
    expect([text, finish_reason]).toEqual([expect.stringMatching(/^[ab]{3}$/), "stop"]);
  });

  it("stop strings cut the text, and max_tokens cuts the answer", async () => {
    const body = { model: "demo", guided_regex: "a{30}b{30}", max_tokens: 80 };
    const stopped = await ask(demo.url, { ...body, stop: "ab" });
    expect([stopped.text, stopped.finish_reason]).toEqual(["a".repeat(29), "stop"]);
    expect((await ask(demo.url, { ...body, max_tokens: 2 })).finish_reason).toBe("length");
  });

  it("log-probabilities are those of the tokens that the grammar allows", async () => {
    const { logprobs } = await ask(demo.url, { model: "demo", guided_choice: ["0", "1", "2"], logprobs: 20 });
    const [top] = (logprobs?.top_logprobs ?? []) as Record<string, number>[];
    expect(Object.keys(top ?? {}).sort()).toEqual(["0", "1", "2"]);
    expect(Object.values(top ?? {}).reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 9);
  });

  it("n answers have seeds of their own, and a known prefix changes nothing", async () => {
    const body = {
      model: "demo",
      prompt: "order ".repeat(90),
      guided_regex: "[a-z]{12}",
      temperature: 1.2,
      seed: 4,
      n: 3,
    };
    const first = (await complete(demo.url, body)).json.choices.map(({ text }) => text);
    expect(new Set(first).size).toBe(3);
    expect((await complete(demo.url, body)).json.choices.map(({ text }) => text)).toEqual(first);
  });

  it("fields that leave no token end the request with an error", async () => {
    const { status, json } = await complete(demo.url, {
      model: "demo",
      prompt: "Hi",
      guided_choice: ["yes"],
      allowed_token_ids: [0],
    });
    expect([status, (json as unknown as { error: { code: string } }).error.code]).toEqual([400, "invalid_request"]);
  });

  it("a stream brings the same text as a whole answer", async () => {
    const body = {
      model: "json",
      messages: [{ role: "user", content: "Where is my kettle?" }],
      temperature: 0,
      response_format: { type: "json_object" },
    };
    const whole = await send<{ choices: { message: { content: string } }[] }>(
      `${demo.url}/v1/chat/completions`,
      "POST",
      body,
      {
        headers: { "content-type": "application/json" },
      },
    );
    const streamed = await send(
      `${demo.url}/v1/chat/completions`,
      "POST",
      { ...body, stream: true },
      { headers: { "content-type": "application/json" } },
    );
    const pieces = [...streamed.text.matchAll(/^data: (\{.*\})$/gm)].map(
      ([, line]) =>
        (JSON.parse(line!) as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? "",
    );
    expect(pieces.join("")).toBe(whole.json.choices[0]?.message.content);
    expect(JSON.parse(pieces.join(""))).toBeTypeOf("object");
  });
});
