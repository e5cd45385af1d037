/**
 * The demo over all of its APIs of text: one question, one prompt. test/clients shows that the answer is the same,
 * whichever SDK asks.
 */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { send, startServer, type TestServer } from "../../helpers/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer([]); // the demo, with its adapters
}, 240_000);
afterAll(() => server[Symbol.asyncDispose]());

const QUESTION = "Hello, where is my red kettle from order 4821?";
const messages = [{ role: "user" as const, content: QUESTION }];

it("counts, encodes and renders the same prompt over every route", async () => {
  const anthropic = new Anthropic({ apiKey: "none", baseURL: server.url, maxRetries: 0 });
  const { input_tokens: count } = await anthropic.messages.countTokens({ model: "pirate", messages });
  const tokenized = await send<{ tokens: number[] }>(`${server.url}/tokenize`, "POST", { messages });
  const body = { model: "pirate", messages };
  const rendered = await send<{ token_ids: number[] }>(`${server.url}/v1/chat/completions/render`, "POST", body);
  expect(rendered.json.token_ids).toEqual(tokenized.json.tokens);
  expect(count).toBe(tokenized.json.tokens.length);
  const back = await send<{ prompt: string }>(`${server.url}/detokenize`, "POST", { tokens: tokenized.json.tokens });
  expect(back.json.prompt).toBe(`<|user|>${QUESTION}<|end|><|assistant|>`);
});
