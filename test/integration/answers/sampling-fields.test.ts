/**
 * allowed_token_ids, bad_words, cache_salt and prompt_logprobs on a real engine: what they do, and the same bits alone
 * and in a batch.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtBase } from "../../helpers/models/bases.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import { complete, type Completion, startServer, type TestServer } from "../../helpers/server.ts";

let server: TestServer;
beforeAll(async () => {
  const base = await builtBase(llamaCheckpoint());
  server = await startServer(["--model", base, "--served-model-name", "base"]);
}, 240_000);
afterAll(() => server[Symbol.asyncDispose]());

const promptOf = (number: number, length = 20) => Array.from({ length }, (_, i) => 3 + ((i * 31 + number * 17) % 300));

async function ask(body: object): Promise<Completion> {
  const { status, json, text } = await complete(server.url, { model: "base", max_tokens: 24, ...body });
  expect(status, text).toBe(200);
  return json;
}

const idsOf = (answer: Completion): number[] => answer.choices[0]?.token_ids ?? [];
const allowed = Array.from({ length: 40 }, (_, i) => 5 + 7 * i);

describe("allowed_token_ids", () => {
  it("are the only ones that are chosen, with the model's own log-probabilities", async () => {
    for (const sampling of [{}, { temperature: 1, seed: 1 }, { temperature: 1, seed: 2, top_k: 50, top_p: 0.9 }]) {
      const answer = await ask({ prompt: promptOf(1), allowed_token_ids: allowed, logprobs: 2, ...sampling });
      expect(idsOf(answer)).toHaveLength(24);
      expect(idsOf(answer).every((id) => allowed.includes(id))).toBe(true);
    }
    const all = await ask({ prompt: promptOf(1), max_tokens: 1, logprobs: 2 });
    const some = await ask({ prompt: promptOf(1), max_tokens: 1, logprobs: 2, allowed_token_ids: allowed });
    const best = all.choices[0]?.logprobs?.token_logprobs[0] ?? 0;
    expect(some.choices[0]?.logprobs?.token_logprobs[0]).toBeLessThanOrEqual(best);
    expect(Object.values(some.choices[0]?.logprobs?.top_logprobs[0] ?? {})).toContain(best);
  });

  it("that are ruled out all at once are an error of the request", async () => {
    const body = { model: "base", prompt: promptOf(2), allowed_token_ids: [9], min_tokens: 2, stop_token_ids: [9] };
    const { status, text } = await complete(server.url, body);
    expect([status, text]).toEqual([400, expect.stringContaining("allowed_token_ids")]);
  });
});

describe("bad_words", () => {
  it("are not generated, and what is no part of them is as before", async () => {
    const free = await ask({ prompt: promptOf(3) });
    const text = free.choices[0]?.text ?? "";
    const word = /[a-z]{2,}/i.exec(text)?.[0] ?? "";
    expect(word).not.toBe("");
    const { choices } = await ask({ prompt: promptOf(3), bad_words: [word] });
    expect(choices[0]?.text).not.toContain(word);
    expect(idsOf(await ask({ prompt: promptOf(3), bad_words: ["no such words here"] }))).toEqual(idsOf(free));
  });
});

describe("each of them", () => {
  it("has the same bits alone and in a batch", async () => {
    const bodies = Array.from({ length: 12 }, (_, number) => ({
      prompt: promptOf(number, 10 + number),
      logprobs: 3,
      ...(number % 3 === 0 ? {} : { temperature: 0.9, seed: number }),
      ...(number % 2 === 0 ? { allowed_token_ids: allowed } : {}),
      ...(number % 4 < 2 ? { bad_words: ["e", "th", " a"] } : {}),
      ...(number % 5 === 0 ? { repetition_penalty: 1.2, min_tokens: 4 } : {}),
    }));
    const bitsOf = async (body: object) => {
      const { choices } = await ask(body);
      return [choices[0]?.token_ids, choices[0]?.logprobs]; // JSON keeps every bit of a number
    };
    const alone: unknown[] = [];
    for (const body of bodies) alone.push(await bitsOf(body));
    expect(await Promise.all(bodies.map(bitsOf))).toEqual(alone);
  });
});

describe("cache_salt", () => {
  it("keeps the beginnings of prompts apart", async () => {
    const cached = async (more: object) => {
      const { usage } = await ask({ prompt: promptOf(7, 70), max_tokens: 1, ...more });
      return (usage as { prompt_tokens_details?: { cached_tokens: number } }).prompt_tokens_details?.cached_tokens ?? 0;
    };
    for (const salt of [{}, { cache_salt: "one" }, { cache_salt: "two" }]) expect(await cached(salt)).toBe(0);
    for (const salt of [{}, { cache_salt: "one" }, { cache_salt: "two" }]) expect(await cached(salt)).toBe(64);
  });
});

describe("prompt_logprobs", () => {
  it("are what an echo scores, with ranks among the whole vocabulary", async () => {
    const prompt = promptOf(8);
    const echoed = await ask({ prompt, echo: true, logprobs: 2, max_tokens: 1 });
    const scored = await ask({ prompt, prompt_logprobs: 2, max_tokens: 1 });
    const entries = (scored.choices[0] as unknown as { prompt_logprobs: (Record<string, Entry> | null)[] })
      .prompt_logprobs;
    interface Entry {
      readonly logprob: number;
      readonly rank: number;
      readonly decoded_token: string;
    }
    expect(entries).toHaveLength(prompt.length);
    expect(entries[0]).toBeNull();
    for (let i = 1; i < prompt.length; i++) {
      const entry = entries[i] ?? {};
      const own = entry[String(prompt[i])];
      expect(own?.logprob).toBe(echoed.choices[0]?.logprobs?.token_logprobs[i]);
      const ranks = Object.values(entry).map(({ rank }) => rank);
      expect(ranks).toContain(1);
      expect(ranks).toContain(2);
      expect(ranks).toHaveLength((own?.rank ?? 0) > 2 ? 3 : 2);
    }
  });
});
