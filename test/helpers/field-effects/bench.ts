/** How a field is asked for over the arithmetic engine, and what the engine was given. */
import { expect } from "vitest";
import type { SequenceRequest } from "../../../src/engine/engine.ts";
import { type TestApp } from "../http-app.ts";

export interface Bench {
  readonly test: TestApp;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Effect = (bench: Bench) => Promise<void>;

export interface Answer {
  readonly model: string;
  readonly choices: {
    readonly text?: string;
    readonly message?: { readonly content: string };
    readonly logprobs: { readonly content?: unknown[]; readonly tokens?: unknown[] } | null;
    readonly token_ids?: number[];
    readonly prompt_token_ids?: number[];
    readonly prompt_logprobs?: unknown[];
  }[];
  readonly prompt_logprobs?: unknown[];
  readonly error?: { readonly code: string; readonly param: string | null };
}

export async function ask({ test, path, body }: Bench, fields: object): Promise<Answer> {
  return (await (await test.post(path, { ...body, ...fields })).json()) as Answer;
}

export const textOf = (answer: Answer): string => answer.choices[0]?.text ?? answer.choices[0]?.message?.content ?? "";

export const lastRequest = ({ test }: Bench): SequenceRequest => test.engine.requests.at(-1) as SequenceRequest;

export const promptOf = (bench: Bench): string =>
  new TextDecoder().decode(Uint8Array.from(lastRequest(bench).promptIds));

/** The field reaches the engine so. */
export const engineGets =
  (fields: object, expected: Partial<Omit<SequenceRequest, "sampling">> & { sampling?: object }): Effect =>
  async (bench) => {
    await ask(bench, fields);
    expect(lastRequest(bench)).toMatchObject(expected);
  };

export const sampling = (fields: object, expected: object): Effect => engineGets(fields, { sampling: expected });
