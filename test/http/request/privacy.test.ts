/** Words of prompts and answers in the log: none, whatever becomes of the request, unless --log-prompts is set. */
import { afterEach, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { createTestApp, type TestApp } from "../../helpers/http-app.ts";

const SECRET = "the-secret-of-the-prompt";
const messages = [{ role: "user", content: SECRET }];
const REQUESTS: readonly (readonly [string, object])[] = [
  ["/v1/completions", { prompt: SECRET }],
  ["/v1/completions", { prompt: SECRET, echo: true, stream: true }],
  ["/v1/completions", { prompt: SECRET, suffix: SECRET, max_tokens: SECRET }],
  ["/v1/completions", { prompt: SECRET, adapter: SECRET }],
  ["/v1/completions/render", { prompt: SECRET }],
  ["/v1/chat/completions", { messages }],
  ["/v1/chat/completions", { messages: [...messages, { role: "user", content: "refuse" }] }],
  ["/v1/chat/completions", { messages, tools: [{ type: "function", function: { name: "f", description: SECRET } }] }],
  ["/v1/chat/completions/render", { messages }],
  ["/v1/responses", { input: SECRET, instructions: SECRET }],
  ["/v1/messages", { messages, system: SECRET, max_tokens: 4 }],
  ["/v1/messages/count_tokens", { messages }],
  ["/v1/embeddings", { input: SECRET }],
  ["/tokenize", { prompt: SECRET }],
];

let test: TestApp;
afterEach(async () => await test[Symbol.asyncDispose]());

async function sendAll(): Promise<number[]> {
  const statuses: number[] = [];
  for (const [path, body] of REQUESTS) {
    const answer = await test.post(path, { model: "base", max_tokens: 4, ...body });
    await answer.text().catch(() => "");
    statuses.push(answer.status);
  }
  const broken = await test.post("/v1/completions", `{"model":"base","prompt":"${SECRET}`);
  return [...statuses, broken.status];
}

it("is not there after answers, refusals and failures of the engine", async () => {
  test = await createTestApp();
  const statuses = await sendAll();
  expect(new Set(statuses)).toEqual(new Set([200, 400, 404]));
  test.engine.failAt(1, new AppError("internal_error", "the engine has failed"));
  await sendAll();
  test.engine.kill();
  expect(await sendAll()).toContain(503);
  expect(test.log.length).toBeGreaterThan(3 * REQUESTS.length);
  expect(test.log.join("")).not.toContain(SECRET);
});

it("is there with --log-prompts", async () => {
  test = await createTestApp({ logsPrompts: true });
  await sendAll();
  expect(test.log.join("")).toContain(SECRET);
});
