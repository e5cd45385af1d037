/** Completions over the arithmetic engine: asked for, read from a stream, and as they have to be. */
import { afterEach, beforeEach } from "vitest";
import { END_ID, expectedIds } from "../engine/arithmetic-engine.ts";
import { createTestApp, type TestApp } from "../http-app.ts";

/** A new one for every test. */
export let test: TestApp;

export interface Choice {
  index: number;
  text: string;
  finish_reason: string;
  logprobs: {
    tokens: string[];
    token_logprobs: (number | null)[];
    top_logprobs: (object | null)[];
    text_offset: number[];
  } | null;
  token_ids?: number[];
  prompt_token_ids?: number[];
}

export interface Answer {
  id: string;
  object: string;
  model: string;
  system_fingerprint: string;
  choices: Choice[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  error: { code: string; param: string | null; message: string; type: string };
}

export const path = "/v1/completions";

export const ask = async (body: object, headers?: Record<string, string>) => {
  const response = await test.post(path, { model: "base", prompt: "hello", temperature: 0, ...body }, headers);
  return { status: response.status, headers: response.headers, json: (await response.json()) as Answer };
};

export const textOf = (ids: readonly number[]) =>
  new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id !== END_ID)));

export const greedy = (
  prompt: string,
  maxTokens: number,
  generation: string | null = null,
  stopIds: number[] = [END_ID],
) =>
  expectedIds({
    promptIds: Int32Array.from(new TextEncoder().encode(prompt)),
    adapter: generation === null ? null : { generation },
    maxTokens,
    stopIds,
    sampling: { temperature: 0, seed: 0 },
  });

/** A new application for each test. */
export function useTestApp(): void {
  beforeEach(async () => {
    test = await createTestApp();
  });
  afterEach(() => test[Symbol.asyncDispose]());
}
