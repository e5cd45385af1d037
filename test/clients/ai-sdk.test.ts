/** Vercel's AI SDK over a real connection: text, streams and errors. */
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, cosineSimilarity, embed, embedMany, generateText, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestApp, type TestApp } from "../helpers/http-app.ts";

let test: TestApp;
let openai: ReturnType<typeof createOpenAI>;
beforeAll(async () => {
  test = await createTestApp();
  openai = createOpenAI({ apiKey: "none", baseURL: `${await test.listen()}/v1` });
});
afterAll(() => test[Symbol.asyncDispose]());

const settings = { prompt: "hi", temperature: 0, maxOutputTokens: 12, maxRetries: 0 };
const expected = async () => {
  const body = { model: "base", messages: [{ role: "user", content: "hi" }], temperature: 0, max_tokens: 12 };
  const response = await test.post("/v1/chat/completions", body);
  return ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
};

it("the AI SDK's embedding model gives vectors in order, with usage", async () => {
  const model = openai.embedding("base");
  const values = ["a red kettle", "order 4821", "a blue kettle"];
  const { embeddings, usage } = await embedMany({ model, values, maxRetries: 0 });
  const { embedding } = await embed({ model, value: "order 4821", maxRetries: 0 });
  expect(embedding).toEqual(embeddings[1]);
  expect(cosineSimilarity(embedding, embeddings[1]!)).toBeCloseTo(1, 6);
  expect(usage.tokens).toBe(values.join("").length); // a byte is a token here
});

describe.each([
  ["default", (id: string) => openai(id)],
  ["chat", (id: string) => openai.chat(id)],
] as const)("the AI SDK's %s model", (_, modelOf) => {
  it("answers text, whole and streamed", async () => {
    const whole = await generateText({ ...settings, model: modelOf("base") });
    expect(whole.text).toBe(await expected());
    expect(whole.finishReason).toBe("length");
    expect([whole.usage.inputTokens, whole.usage.outputTokens]).toEqual([20, 12]);
    const streamed = streamText({ ...settings, model: modelOf("base") });
    const parts: string[] = [];
    for await (const part of streamed.textStream) parts.push(part);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.join("")).toBe(whole.text);
    expect(await streamed.finishReason).toBe("length");
  });

  it("reports the server's error", async () => {
    const error = await generateText({ ...settings, model: modelOf("nobody") }).catch((reason: unknown) => reason);
    expect(APICallError.isInstance(error) && [error.statusCode, error.message]).toEqual([
      404,
      'There is no model "nobody" here. List them with GET /v1/models.',
    ]);
  });
});

it("the AI SDK's default model continues a conversation by references to kept items", async () => {
  const first = await generateText({ ...settings, model: openai("base") });
  const { prompt, ...rest } = settings;
  const messages = [
    { role: "user" as const, content: prompt },
    ...first.response.messages,
    { role: "user" as const, content: "more" },
  ];
  await generateText({ ...rest, messages, model: openai("base") });
  const ids = Uint8Array.from(test.engine.requests.at(-1)?.promptIds ?? []);
  expect(new TextDecoder().decode(ids)).toBe(`<user>hi\n<assistant>${first.text}\n<user>more\n<assistant>`);
});
