import { describe, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { END_ID } from "../../helpers/engine/arithmetic-engine.ts";
import {
  test,
  type Choice,
  type Answer,
  path,
  ask,
  textOf,
  greedy,
  useTestApp,
} from "../../helpers/http/completions.ts";

useTestApp();

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

  it("continues after it with ignore_eos, and shows it without skip_special_tokens", async () => {
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
