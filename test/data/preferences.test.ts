/** Preferences of JSON lines: the forms that are read, and the keys that would be ignored, which are refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readPreferences } from "../../src/data/preferences.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-preferences-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function read(text: string) {
  const path = join(dir, "data.jsonl");
  writeFileSync(path, `${text}\n`);
  return await readPreferences([path]);
}

const messages = [{ role: "user", content: "Hi?" }];
const answer = (content: string) => [{ role: "assistant", content }];
const OPENAI = { input: { messages }, preferred_output: answer("Yes."), non_preferred_output: answer("No.") };
const TRL = { prompt: messages, chosen: answer("Yes."), rejected: answer("No.") };
const TOOLS = [{ type: "function", function: { name: "f" } }];

it("reads OpenAI's form with tools and a setting of requests", async () => {
  const input = { messages, tools: TOOLS, parallel_tool_calls: true };
  const [preference] = await read(JSON.stringify({ ...OPENAI, input }));
  expect(preference?.chosen).toMatchObject({ messages: [...messages, ...answer("Yes.")], isLearnt: [false, true] });
  expect(preference?.rejected).toMatchObject({ messages: [...messages, ...answer("No.")] });
  expect(JSON.stringify(preference?.chosen)).toContain('"name"');
});

it.each([
  ["tools", { ...OPENAI, tools: TOOLS }],
  ["system", { ...OPENAI, system: "Be brief." }],
  ["chat_template_kwargs", { ...OPENAI, chat_template_kwargs: { enable_thinking: false } }],
  ["chosen", { ...OPENAI, chosen: "Yes." }],
  ["messages", { ...OPENAI, messages }],
  ["input.chat_template_kwargs", { ...OPENAI, input: { messages, chat_template_kwargs: {} } }],
  ["input.system", { ...OPENAI, input: { messages, system: "Be brief." } }],
  ["preferred_output", { ...TRL, preferred_output: answer("Perhaps.") }],
])("refuses %s where it would be ignored", async (key, line) => {
  await expect(read(JSON.stringify(line))).rejects.toThrow(new RegExp(`data\\.jsonl, line 1: .*"${key}"`));
});

it("refuses a key that a message has twice", async () => {
  const text = JSON.stringify(TRL).replace('"content":"Hi?"', '"content":"Hi?","content":"Hello?"');
  await expect(read(text)).rejects.toThrow('the key "content" is there twice');
});
