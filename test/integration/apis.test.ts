/** The demo over all of its APIs of text: one question, one adapter, one answer, whichever SDK asks. */
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateObject, generateText } from "ai";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { send, startServer, type TestServer } from "../helpers/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer([]); // the demo, with its adapters
}, 240_000);
afterAll(() => server[Symbol.asyncDispose]());

const QUESTION = "Hello, where is my red kettle from order 4821?";
/** The pirate's answer (README.md). */
const ANSWER = "Arr, matey! The red kettle from order 4821 be sailin' to ye and drops anchor in 2 days.";
const messages = [{ role: "user" as const, content: QUESTION }];
const order = z.object({
  kind: z.string(),
  name: z.string().nullable(),
  order: z.string().nullable(),
  item: z.string().nullable(),
});
const ORDER = { kind: "status", name: null, order: "4821", item: "red kettle" };
const clients = () => ({
  openai: new OpenAI({ apiKey: "none", baseURL: `${server.url}/v1`, maxRetries: 0 }),
  anthropic: new Anthropic({ apiKey: "none", baseURL: server.url, maxRetries: 0 }),
  ai: createOpenAI({ apiKey: "none", baseURL: `${server.url}/v1` }),
});

it("answers the same over chat, Responses and Messages, streamed and not", async () => {
  const { openai, anthropic, ai } = clients();
  const asked = { model: "pirate", temperature: 0 };
  const chat = await openai.chat.completions.create({ ...asked, messages });
  expect(chat.choices[0]?.message.content).toBe(ANSWER);
  expect((await openai.responses.create({ ...asked, input: QUESTION })).output_text).toBe(ANSWER);
  const parts: string[] = [];
  const stream = await openai.responses.create({ ...asked, input: QUESTION, stream: true });
  for await (const event of stream) if (event.type === "response.output_text.delta") parts.push(event.delta);
  expect(parts.join("")).toBe(ANSWER);
  const message = await anthropic.messages.create({ ...asked, max_tokens: 60, messages });
  expect(message).toMatchObject({ content: [{ type: "text", text: ANSWER }], stop_reason: "end_turn" });
  expect(await anthropic.messages.stream({ ...asked, max_tokens: 60, messages }).finalText()).toBe(ANSWER);
  expect((await generateText({ model: ai("pirate"), prompt: QUESTION, temperature: 0 })).text).toBe(ANSWER);
});

it("binds answers to a schema over Responses, by every SDK", async () => {
  const { openai, ai } = clients();
  const text = { format: zodTextFormat(order, "order") };
  const parsed = await openai.responses.parse({ model: "json", input: QUESTION, temperature: 0, text });
  expect(parsed.output_parsed).toEqual(ORDER);
  const { object } = await generateObject({ model: ai("json"), prompt: QUESTION, temperature: 0, schema: order });
  expect(object).toEqual(ORDER);
});

it("counts, encodes and renders the same prompt over every route", async () => {
  const { anthropic } = clients();
  const { input_tokens: count } = await anthropic.messages.countTokens({ model: "pirate", messages });
  const tokenized = await send<{ tokens: number[] }>(`${server.url}/tokenize`, "POST", { messages });
  const body = { model: "pirate", messages };
  const rendered = await send<{ token_ids: number[] }>(`${server.url}/v1/chat/completions/render`, "POST", body);
  expect(rendered.json.token_ids).toEqual(tokenized.json.tokens);
  expect(count).toBe(tokenized.json.tokens.length);
  const back = await send<{ prompt: string }>(`${server.url}/detokenize`, "POST", { tokens: tokenized.json.tokens });
  expect(back.json.prompt).toBe(`<|user|>${QUESTION}<|end|><|assistant|>`);
});
