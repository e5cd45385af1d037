/** A request to the demo, and what one or more further fields make of its answer. */
import { expect } from "vitest";
import { send, startServer, type TestServer } from "../server.ts";

interface FieldsCase {
  readonly request: Readonly<Record<string, unknown>>;
  /** Each is added to the request on its own. */
  readonly fields: readonly Readonly<Record<string, unknown>>[];
  readonly right: {
    /** 400 unsupported_parameter, and the field's name. */
    readonly refused?: string;
    /** The answer of another request. */
    readonly as?: Readonly<Record<string, unknown>>;
    readonly content?: string;
    readonly minTokens?: number;
    readonly finishReason?: string;
  };
}

interface Chat {
  readonly choices: readonly { readonly message: { readonly content: string }; readonly finish_reason: string }[];
  readonly usage: { readonly completion_tokens: number };
  readonly error?: { readonly code: string; readonly param: string };
}

async function ask(url: string, body: object): Promise<{ status: number; json: Chat }> {
  return await send<Chat>(`${url}/v1/chat/completions`, "POST", body, {
    headers: { "content-type": "application/json" },
  });
}

/** One demo for all cases: no request changes it. */
let demo: Promise<TestServer> | undefined;

export async function close(): Promise<void> {
  await (await demo)?.[Symbol.asyncDispose]();
}

export async function check(value: unknown): Promise<void> {
  const { request, fields, right } = value as FieldsCase;
  demo ??= startServer([]);
  const server = await demo;
  for (const more of fields) {
    const { status, json } = await ask(server.url, { ...request, ...more });
    const shown = JSON.stringify(more);
    if (right.refused !== undefined) {
      expect([status, json.error?.code, json.error?.param], shown).toEqual([
        400,
        "unsupported_parameter",
        right.refused,
      ]);
      continue;
    }
    expect(status, shown).toBe(200);
    const [choice] = json.choices;
    if (right.as) expect(choice, shown).toEqual((await ask(server.url, { ...request, ...right.as })).json.choices[0]);
    if (right.content !== undefined) expect(choice?.message.content).toBe(right.content);
    if (right.finishReason !== undefined) expect(choice?.finish_reason).toBe(right.finishReason);
    if (right.minTokens !== undefined) expect(json.usage.completion_tokens).toBeGreaterThanOrEqual(right.minTokens);
  }
}
