/**
 * Parts of a request below the top level that would change the answer and that nothing reads: each is refused by its
 * place.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestApp, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
beforeAll(async () => {
  test = await createTestApp();
});
afterAll(() => test[Symbol.asyncDispose]());

const CHAT = "/v1/chat/completions";
const user = (more: object) => ({ role: "user", content: "What is it?", ...more });
const messages = [user({})];
const schema = { type: "object" };
const tool = (more: object) => [{ type: "function", function: { name: "f", ...more } }];

async function ask(path: string, fields: object) {
  const answer = await test.post(path, { model: "base", max_tokens: 1, temperature: 0, ...fields });
  const { error } = (await answer.json()) as { error?: { param: string | null } };
  return { status: answer.status, param: error?.param };
}

it.each([
  [CHAT, { messages: [user({ images: ["aGk="] })] }, "messages.0.images"],
  [CHAT, { messages: [...messages, user({ attachments: [{ id: 1 }] })] }, "messages.1.attachments"],
  [
    CHAT,
    { messages: [user({ content: [{ type: "text", text: "a", image_url: "b" }] })] },
    "messages.0.content.0.image_url",
  ],
  ["/v1/messages", { messages: [user({ images: ["aGk="] })] }, "messages.0.images"],
  [
    "/v1/messages",
    { messages: [user({ content: [{ type: "text", text: "a", file_id: "b" }] })] },
    "messages.0.content.0.file_id",
  ],
  ["/tokenize", { messages: [user({ image_url: "a" })] }, "messages.0.image_url"],
  [CHAT, { messages, documents: [{ text: "a" }], chat_template: "plain" }, "documents"],
  [CHAT, { messages, tools: tool({ strict: "true" }) }, "tools.0.function.strict"],
  [CHAT, { messages, tools: tool({ parameters: "{}" }) }, "tools.0.function.parameters"],
  [CHAT, { messages, response_format: { type: "text", json_schema: { schema } } }, "response_format.json_schema"],
  [
    CHAT,
    { messages, response_format: { type: "json_object", json_schema: { schema } } },
    "response_format.json_schema",
  ],
  [
    CHAT,
    { messages, response_format: { type: "json_schema", schema, json_schema: { schema } } },
    "response_format.schema",
  ],
  [CHAT, { messages, response_format: { type: "json_object", format: {} } }, "response_format.format"],
])("%s %j is refused", async (path, fields, param) => {
  expect(await ask(path, fields)).toEqual({ status: 400, param });
});

it.each([
  [{ input: [user({ images: ["aGk="] })] }, "input.0.images"],
  [{ input: [user({ content: [{ type: "input_text", text: "a", image_url: "b" }] })] }, "input.0.content.0.image_url"],
  [{ input: "a", text: { format: { type: "text", schema } } }, "text.format.schema"],
  [{ input: "a", text: { format: { type: "json_object", schema } } }, "text.format.schema"],
])("a response of %j is refused", async (fields, param) => {
  expect(await ask("/v1/responses", { max_tokens: null, ...fields })).toEqual({ status: 400, param });
});

it("empty ones, and those of a template that reads them, are answered", async () => {
  const empty = user({ images: [], attachments: null });
  for (const fields of [
    { messages: [empty] },
    { messages, documents: [] },
    { messages, documents: [{ text: "a" }] },
    { messages, documents: [{ text: "a" }], chat_template: "rag" },
    { messages, response_format: { type: "text" } },
  ])
    expect((await ask(CHAT, fields)).status).toBe(200);
});
