/**
 * The Python SDKs of Anthropic and OpenAI, and OpenAI's agents, against the demo with its adapters. MOSARA_CLIENTS_PYTHON names a Python
 * that has `anthropic`, `openai` and `openai-agents`; without it they are left out.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { CLIENTS_PYTHON, hasModule } from "../helpers/clients-python.ts";
import { startServer, type TestServer } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const hasAnthropic = hasModule("anthropic");
const hasAgents = hasModule("agents");

let server: TestServer;
beforeAll(async () => {
  if (hasAnthropic || hasAgents) server = await startServer([]); // the demo, with its adapters
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** The JSON object that a script in `python/` prints. */
async function answersOf(script: string): Promise<Record<string, unknown>> {
  const path = join(import.meta.dirname, "python", script);
  const { stdout } = await promisify(execFile)(CLIENTS_PYTHON ?? "", [path, server.url]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** What the pirate answers to the scripts' question (README.md). */
const ANSWER = "Arr, matey! The red kettle from order 4821 be sailin' to ye and drops anchor in 2 days.";
const ORDER = { kind: "status", name: null, order: "4821", item: "red kettle" };

it.skipIf(!hasAnthropic)("Anthropic's SDK reads messages, streams, counts and errors", async () => {
  const answers = await answersOf("messages.py");
  expect(answers).toMatchObject({ text: ANSWER, streamed: ANSWER, stop: ["end_turn", "end_turn"] });
  expect(answers.error).toBe("not_found_error");
  const [input, count] = answers.input as [number, number];
  expect(input).toBe(count);
});

it.skipIf(!hasAgents)("OpenAI's SDK and agents read responses, streams, turns and formats", async () => {
  const answers = await answersOf("responses.py");
  expect(answers).toMatchObject({ text: ANSWER, streamed: ANSWER, status: "completed", error: "response_not_found" });
  expect(answers).toMatchObject({ parsed: ORDER, typed: ORDER });
  const [first, second] = answers.inputs as [number, number];
  expect(second).toBeGreaterThan(first);
});
