/**
 * Rich bodies with a few random mutations, to every route that reads a conversation or tokens: never a fault of the
 * server.
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestApp, type TestApp } from "../helpers/http-app.ts";

let test: TestApp;
beforeAll(async () => {
  test = await createTestApp({ maxModelLen: 4096 });
});
afterAll(() => test[Symbol.asyncDispose]());

type Json = Record<string, unknown> | unknown[];
interface Mutation {
  /** Chooses among all objects and lists of the body. */
  readonly place: number;
  /** Chooses among the keys of that one. */
  readonly key: number;
  readonly kind: "replace" | "delete" | "add";
  readonly name: string;
  readonly value: unknown;
}

const value = fc.constantFrom<unknown>(
  null,
  true,
  0,
  -1,
  1.5,
  1e30,
  "",
  "text",
  "user",
  [],
  [null],
  ["x"],
  {},
  { 0: 1 },
);
const mutation: fc.Arbitrary<Mutation> = fc.record({
  place: fc.nat(),
  key: fc.nat(),
  kind: fc.constantFrom("replace", "delete", "add"),
  // Keys that look like indices become maps where numbers keep their written form.
  name: fc.constantFrom("0", "1", "type", "text", "id"),
  value,
});

function placesIn(json: unknown): Json[] {
  if (typeof json !== "object" || json === null) return [];
  return [json as Json, ...Object.values(json).flatMap(placesIn)];
}

function mutated(body: object, mutations: readonly Mutation[]): unknown {
  const copy = structuredClone(body);
  for (const { place, key, kind, name, value: given } of mutations) {
    const to = structuredClone(given);
    const places = placesIn(copy);
    const target = places[place % places.length] as Record<string, unknown>;
    const keys = Object.keys(target);
    const chosen = keys[key % Math.max(1, keys.length)];
    if (kind === "add" && Array.isArray(target)) target.push(to);
    else if (kind === "add") target[name] = to;
    else if (chosen === undefined) continue;
    else if (kind === "delete") delete target[chosen];
    else target[chosen] = to;
  }
  return copy;
}

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const fn = { name: "weather", description: "the weather", parameters: schema };
const call = { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } };
const chat = {
  model: "base",
  max_tokens: 1,
  messages: [
    { role: "system", content: "be brief" },
    { role: "user", content: [{ type: "text", text: "Oslo?" }] },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", tool_call_id: "c1", content: "rain" },
  ],
  tools: [{ type: "function", function: fn }],
  chat_template_kwargs: { mood: 1 },
};
const block = (type: string, fields: object) => ({ type, ...fields });
const conversation = {
  model: "base",
  system: [block("text", { text: "be brief" })],
  messages: [
    { role: "user", content: [block("text", { text: "Oslo?" })] },
    {
      role: "assistant",
      content: [
        block("thinking", { thinking: "look", signature: "x" }),
        block("tool_use", { id: "c1", name: "weather", input: { city: "Oslo", n: 1.0 } }),
      ],
    },
    {
      role: "user",
      content: [
        block("tool_result", { tool_use_id: "c1", content: [block("text", { text: "rain" })], is_error: true }),
      ],
    },
  ],
  tools: [{ name: "weather", description: "the weather", input_schema: schema }],
  tool_choice: { type: "auto" },
  thinking: { type: "enabled", budget_tokens: 1024 },
  output_config: { effort: "low", format: { type: "json_schema", schema } },
};
const items = {
  model: "base",
  max_output_tokens: 1,
  instructions: "be brief",
  input: [
    { role: "user", content: [{ type: "input_text", text: "Oslo?" }] },
    { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "look" }] },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "One moment", annotations: [] }] },
    { type: "function_call", call_id: "c1", name: "weather", arguments: '{"city":"Oslo"}' },
    { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "rain" }] },
  ],
  tools: [{ type: "function", ...fn, strict: true }],
  tool_choice: "auto",
  text: { format: { type: "json_schema", name: "x", schema } },
  reasoning: { effort: "low", summary: "auto" },
  metadata: { a: "b" },
};

it.each([
  ["/v1/chat/completions", chat],
  ["/v1/chat/completions/render", chat],
  ["/tokenize", { messages: chat.messages, tools: chat.tools, return_token_strs: true }],
  ["/detokenize", { tokens: [1, 2] }],
  ["/v1/messages", { ...conversation, max_tokens: 1 }],
  ["/v1/messages/count_tokens", conversation],
  ["/v1/responses", items],
])("%s has no fault with any body", async (path, valid) => {
  expect((await test.post(path, valid)).status).toBe(200);
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
      const response = await test.post(path, mutated(valid, mutations));
      await response.text();
      expect(response.status).toBeLessThan(500);
    }),
    { numRuns: 200 },
  );
});
