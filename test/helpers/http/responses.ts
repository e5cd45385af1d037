/** OpenAI's Responses API over the arithmetic engine, by OpenAI's own SDK. */
import OpenAI from "openai";
import { afterEach, beforeEach } from "vitest";
import type { ResponseStreamEvent } from "openai/resources/responses/responses";
import { createTestApp, type TestApp, type TestAppOptions } from "../http-app.ts";

// A new one of each for every test.
export let test: TestApp;
export let client: OpenAI;

const open = async (options: TestAppOptions = {}) => {
  test = await createTestApp(options);
  client = new OpenAI({ apiKey: "secret", baseURL: `${await test.listen()}/v1`, maxRetries: 0 });
};

export const reopen = async (options: TestAppOptions) => {
  await test[Symbol.asyncDispose]();
  await open(options);
};

export const body = { model: "base", input: "hi", temperature: 0, max_output_tokens: 12 };

export const promptText = () => new TextDecoder().decode(Uint8Array.from(test.engine.requests.at(-1)?.promptIds ?? []));

export const errorOf = async (fields: object) => {
  const response = await test.post("/v1/responses", { ...body, ...fields });
  const { error } = (await response.json()) as { error: { code: string; param: string | null } };
  return [response.status, error?.code, error?.param];
};

export const eventsOf = async (fields: object = {}) => {
  const stream = await client.responses.create({ ...body, ...fields, stream: true });
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
};

/** A new application and a client of it for each test. */
export function useResponses(): void {
  beforeEach(() => open());
  afterEach(() => test[Symbol.asyncDispose]());
}
