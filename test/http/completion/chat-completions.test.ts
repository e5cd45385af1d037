import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { END_ID, expectedIds } from "../../helpers/engine/arithmetic-engine.ts";
import { createTestApp, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
beforeEach(async () => {
  test = await createTestApp();
});
afterEach(() => test[Symbol.asyncDispose]());

const path = "/v1/chat/completions";
const messages = [{ role: "user", content: "hi" }];
interface Answer {
  object: string;
  choices: {
    index: number;
    message: { role: string; content: string };
    delta: { role?: string; content?: string };
    finish_reason: string | null;
    logprobs: {
      content: { token: string; logprob: number; bytes: number[]; top_logprobs: { token: string }[] }[];
    } | null;
    token_ids?: number[];
    prompt_token_ids?: number[];
  }[];
  usage: { prompt_tokens: number; completion_tokens: number } | null;
  error: { code: string; param: string | null; message: string };
}
const ask = async (body: object) => {
  const response = await test.post(path, { model: "base", messages, temperature: 0, max_tokens: 12, ...body });
  return { status: response.status, json: (await response.json()) as Answer };
};
const chunksOf = async (body: object) => {
  const response = await test.post(path, {
    model: "base",
    messages,
    temperature: 0,
    max_tokens: 12,
    ...body,
    stream: true,
  });
  const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
  expect(lines.at(-1)).toBe("data: [DONE]");
  return lines.slice(0, -1).map((line) => JSON.parse(line.slice(6)) as Answer);
};
const promptText = () => new TextDecoder().decode(Uint8Array.from(test.engine.requests.at(-1)?.promptIds ?? []));
const answerTo = (prompt: string, maxTokens: number) => {
  const promptIds = Int32Array.from(new TextEncoder().encode(prompt));
  const ids = expectedIds({
    promptIds,
    adapter: null,
    maxTokens,
    stopIds: [END_ID],
    sampling: { temperature: 0, seed: 0 },
  });
  return new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id !== END_ID)));
};

describe("a chat completion", () => {
  it("answers the rendered conversation", async () => {
    const { json } = await ask({});
    expect(promptText()).toBe("<user>hi\n<assistant>");
    expect(json).toMatchObject({
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: answerTo(promptText(), 12), refusal: null },
          logprobs: null,
          finish_reason: "length",
        },
      ],
      usage: { prompt_tokens: 20, completion_tokens: 12 },
    });
  });

  it("may use the rest of the context when no maximum is given", async () => {
    await ask({ max_tokens: undefined });
    const [request] = test.engine.requests;
    expect(request?.maxTokens).toBe(512 - (request?.promptIds.length ?? 0));
    await ask({ max_completion_tokens: 3 });
    expect(test.engine.requests[1]?.maxTokens).toBe(3);
  });

  it("gives tools to the template, but not with tool_choice none", async () => {
    const tools = [{ type: "function", function: { name: "f" } }];
    await ask({ tools });
    expect(promptText()).toMatch(/^\[tools\]/);
    await ask({ tools, tool_choice: "none" });
    expect(promptText()).not.toMatch(/^\[tools\]/);
  });

  it("takes a developer's message for the system's", async () => {
    await ask({ messages: [{ role: "developer", content: "be brief" }, ...messages] });
    expect(promptText()).toMatch(/^<system>be brief/);
  });

  it("gives log-probabilities with bytes and alternatives", async () => {
    const { json } = await ask({ logprobs: true, top_logprobs: 3 });
    const content = json.choices[0]?.logprobs?.content ?? [];
    expect(content.map(({ token }) => token).join("")).toBe(json.choices[0]?.message.content);
    expect(content[0]).toMatchObject({ logprob: -0.5, bytes: [content[0]?.token.charCodeAt(0)] });
    expect(content[0]?.top_logprobs).toHaveLength(3);
    const none = await ask({ logprobs: true });
    expect(none.json.choices[0]?.logprobs?.content[0]?.top_logprobs).toEqual([]);
  });
});

describe("a streamed chat completion", () => {
  it("begins every choice with its role and joins to the unstreamed answer", async () => {
    for (const body of [
      {},
      { n: 2 },
      { stop: "e" },
      { logprobs: true, top_logprobs: 2 },
      { return_token_ids: true, max_tokens: 60 },
    ]) {
      const whole = (await ask(body)).json;
      const chunks = await chunksOf(body);
      expect(chunks.every(({ object }) => object === "chat.completion.chunk")).toBe(true);
      for (const choice of whole.choices) {
        const parts = chunks.flatMap(({ choices }) => choices).filter(({ index }) => index === choice.index);
        expect(parts[0]?.delta).toEqual({ role: "assistant", content: "" });
        expect(parts.slice(1).every(({ delta }) => delta.role === undefined)).toBe(true);
        expect(parts.map(({ delta }) => delta.content ?? "").join("")).toBe(choice.message.content);
        expect(parts.map(({ finish_reason }) => finish_reason)).toEqual([
          ...Array(parts.length - 1).fill(null),
          choice.finish_reason,
        ]);
        expect(parts.flatMap(({ logprobs }) => logprobs?.content ?? [])).toEqual(choice.logprobs?.content ?? []);
        expect(parts.flatMap(({ token_ids }) => token_ids ?? [])).toEqual(choice.token_ids ?? []);
        expect(parts[0]?.prompt_token_ids).toEqual(choice.prompt_token_ids);
      }
    }
  });

  it("ends with a chunk without choices that holds the usage", async () => {
    const chunks = await chunksOf({ stream_options: { include_usage: true } });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 20, completion_tokens: 12 } });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  });
});

describe("a chat request that cannot be answered", () => {
  it.each([
    ["no messages", { messages: undefined }, "invalid_request", "messages"],
    ["an empty conversation", { messages: [] }, "invalid_request", "messages"],
    ["an unknown role", { messages: [{ role: "robot", content: "x" }] }, "invalid_request", "messages.0.role"],
    ["a number as content", { messages: [{ role: "user", content: 3 }] }, "invalid_request", "messages.0.content"],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
      "unsupported_parameter",
      "messages.0.content.0",
    ],
    ["a forced call without tools", { tool_choice: "required" }, "invalid_request", "tools"],
    [
      "an unknown choice",
      { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "any" },
      "unsupported_parameter",
      "tool_choice",
    ],
    [
      "a tool without a name",
      { tools: [{ type: "function", function: {} }] },
      "invalid_request",
      "tools.0.function.name",
    ],
    ["max_tokens 0", { max_tokens: 0 }, "invalid_request", "max_tokens"],
    ["top_logprobs alone", { top_logprobs: 2 }, "invalid_request", "top_logprobs"],
    ["top_logprobs 21", { logprobs: true, top_logprobs: 21 }, "invalid_request", "top_logprobs"],
    ["logprobs as a number", { logprobs: 1 }, "invalid_request", "logprobs"],
    ["kwargs as a list", { chat_template_kwargs: [] }, "invalid_request", "chat_template_kwargs"],
    [
      "a schema",
      { response_format: { type: "json_schema", json_schema: { schema: { type: "array", uniqueItems: true } } } },
      "invalid_request",
      "response_format",
    ],
    ["audio", { modalities: ["text", "audio"] }, "unsupported_parameter", "modalities"],
    ["functions", { functions: [{ name: "f" }] }, "unsupported_parameter", "functions"],
    ["echo", { echo: true }, "unsupported_parameter", "echo"],
  ])("%s is refused and named", async (_, body, code, param) => {
    const { status, json } = await ask(body);
    expect([status, json.error.code, json.error.param]).toEqual([400, code, param]);
    expect(test.engine.requests).toEqual([]);
  });

  it("accepts fields it does not heed where they ask for what happens anyway", async () => {
    const neutral = {
      response_format: { type: "text" },
      store: false,
      modalities: ["text"],
      parallel_tool_calls: true,
      service_tier: "auto",
      metadata: {},
      functions: null,
    };
    expect((await ask(neutral)).status).toBe(200);
  });

  it("reports what the template refuses", async () => {
    const { status, json } = await ask({ messages: [{ role: "user", content: "refuse" }] });
    expect([status, json.error.message]).toEqual([400, "The template refuses."]);
  });

  it("is longer than the context", async () => {
    const { json } = await ask({ messages: [{ role: "user", content: "x".repeat(520) }], max_tokens: undefined });
    expect(json.error.code).toBe("context_length_exceeded");
    expect(json.error.message).toContain("in the messages, 1 in the completion");
  });
});
