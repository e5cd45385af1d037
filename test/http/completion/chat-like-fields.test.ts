/**
 * The fields of the endpoints that become chat requests, against the application: refused by name, harmless, or heeded
 * as in chat.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Body, ChatLikeEndpoint, Treatment } from "../../../src/fields/field.ts";
import { MESSAGES_FIELDS } from "../../../src/fields/messages-fields.ts";
import { RESPONSES_FIELDS } from "../../../src/fields/responses-fields.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
beforeAll(async () => {
  test = await createTestApp();
  await test.put("acme", fittingAdapter(1));
});
afterAll(() => test[Symbol.asyncDispose]());

const VALUES: readonly unknown[] = [true, false, "some text", 7, -7, 0.5, ["a"], { a: 1 }];
const messages = [{ role: "user", content: "hello" }];
const ENDPOINTS: Readonly<
  Record<ChatLikeEndpoint, { path: string; fields: Readonly<Record<string, Treatment>>; body: Body }>
> = {
  messages: {
    path: "/v1/messages",
    fields: MESSAGES_FIELDS,
    body: { model: "base", messages, temperature: 0, max_tokens: 12 },
  },
  responses: {
    path: "/v1/responses",
    fields: RESPONSES_FIELDS,
    body: { model: "base", input: "hello", temperature: 0, max_output_tokens: 12 },
  },
};

async function ask(endpoint: ChatLikeEndpoint, fields: object) {
  const { path, body } = ENDPOINTS[endpoint];
  const response = await test.post(path, { ...body, ...fields });
  const json = (await response.json()) as { error?: { code: string; param: string | null; message: string } };
  return { status: response.status, error: json.error, request: test.engine.requests.at(-1) };
}

describe.each(Object.keys(ENDPOINTS) as ChatLikeEndpoint[])("%s", (endpoint) => {
  const { fields, body } = ENDPOINTS[endpoint];
  const ofKind = (kind: Treatment["kind"]) =>
    Object.entries(fields).flatMap(([name, treatment]) => (treatment.kind === kind ? [{ name, treatment }] : []));

  it.each(ofKind("refused"))("refuses $name", async ({ name, treatment }) => {
    const values = VALUES.filter((value) => treatment.kind === "refused" && !treatment.neutral.holds(value, body));
    for (const value of values) {
      const { status, error } = await ask(endpoint, { [name]: value });
      expect([status, error?.code, error?.param], JSON.stringify(value)).toEqual([400, "unsupported_parameter", name]);
      expect(error?.message).toContain(treatment.text);
    }
    expect((await ask(endpoint, { [name]: null })).status).toBe(200);
  });

  it.each(ofKind("harmless"))("answers the same with $name", async ({ name }) => {
    const plain = await ask(endpoint, {});
    for (const value of VALUES) {
      const { status, request } = await ask(endpoint, { [name]: value });
      expect([status, { ...request, sampling: null }]).toEqual([200, { ...plain.request, sampling: null }]);
    }
  });

  it.each([
    [{ top_k: 3 }, { topK: 3 }],
    [{ seed: 7 }, { seed: 7 }],
    [{ repetition_penalty: 2 }, { repetitionPenalty: 2 }],
    [{ bad_words: ["q"] }, { badWords: [[113], [32, 113]] }],
  ])("samples with %j as chat does", async (sampling, expected) => {
    expect((await ask(endpoint, sampling)).request?.sampling).toMatchObject(expected);
  });

  it("takes an adapter by every name of the field", async () => {
    for (const field of ["adapter", "lora_name", "model"])
      expect((await ask(endpoint, { [field]: "acme" })).request?.adapter).not.toBeNull();
    expect((await ask(endpoint, { adapter: "nobody" })).error).toMatchObject({ code: "adapter_not_found" });
  });
});
