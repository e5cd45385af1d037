/** What the AI SDK sends, which an answer of the demo does not show; its features are in node/ai-sdk-features.mjs. */
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText } from "ai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestApp, type TestApp } from "../helpers/http-app.ts";

let test: TestApp;
let openai: ReturnType<typeof createOpenAI>;
beforeAll(async () => {
  test = await createTestApp();
  openai = createOpenAI({ apiKey: "none", baseURL: `${await test.listen()}/v1` });
});
afterAll(() => test[Symbol.asyncDispose]());

it("embeddings have the usage of their texts", async () => {
  const values = ["a red kettle", "order 4821", "a blue kettle"];
  const { usage } = await embedMany({ model: openai.embedding("base"), values, maxRetries: 0 });
  expect(usage.tokens).toBe(values.join("").length); // a byte is a token here
});

it("the default model continues a conversation by references to kept items", async () => {
  const settings = { model: openai("base"), temperature: 0, maxOutputTokens: 12, maxRetries: 0 };
  const first = await generateText({ ...settings, prompt: "hi" });
  const messages = [
    { role: "user" as const, content: "hi" },
    ...first.response.messages,
    { role: "user" as const, content: "more" },
  ];
  await generateText({ ...settings, messages });
  const ids = Uint8Array.from(test.engine.requests.at(-1)?.promptIds ?? []);
  expect(new TextDecoder().decode(ids)).toBe(`<user>hi\n<assistant>${first.text}\n<user>more\n<assistant>`);
});
