/** What the fields of chat alone do. */
import { expect } from "vitest";
import { createTestApp } from "../http-app.ts";
import { type Bench, type Effect, type Answer, ask, textOf, lastRequest, promptOf, engineGets } from "./bench.ts";

const TOOLS = ["f", "g"].map((name) => ({ type: "function", function: { name } }));

/** Asks a model whose prompts end within reasoning, which this mark ends. */
async function askReasoning({ path, body }: Bench, end: string, fields: object): Promise<Answer> {
  await using test = await createTestApp({ reasoning: { name: "test", begin: "<assistant>", end } });
  return await ask({ test, path, body }, fields);
}

export const CHAT: Readonly<Record<string, Effect>> = {
  messages: async (bench) => {
    await ask(bench, { messages: [{ role: "user", content: "other" }] });
    expect(promptOf(bench)).toContain("<user>other");
  },
  max_completion_tokens: engineGets({ max_completion_tokens: 5 }, { maxTokens: 5 }),
  logprobs: async (bench) =>
    expect((await ask(bench, { logprobs: true })).choices[0]?.logprobs?.content).toHaveLength(12),
  top_logprobs: engineGets({ logprobs: true, top_logprobs: 3 }, { numLogprobs: 3 }),
  tools: async (bench) => {
    await ask(bench, { tools: [{ type: "function", function: { name: "f" } }] });
    expect(promptOf(bench)).toContain("[tools]");
    expect((await ask(bench, { tools: [{ type: "web_search" }] })).error?.param).toBe("tools.0.type");
  },
  tool_choice: async (bench) => {
    await ask(bench, { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "none" });
    expect(promptOf(bench)).not.toContain("[tools]");
    expect((await ask(bench, { tool_choice: "required" })).error?.param).toBe("tools");
    await ask(bench, { tools: TOOLS, tool_choice: "required" });
    expect(lastRequest(bench).grammar?.text).toContain('{\\"name\\": \\"g\\"');
    const named = { type: "function", function: { name: "f" } };
    await ask(bench, { tools: TOOLS, tool_choice: named });
    expect(lastRequest(bench).grammar?.text).not.toContain('\\"g\\"');
    const { error } = await ask(bench, { tools: TOOLS, tool_choice: { ...named, function: { name: "h" } } });
    expect(error?.param).toBe("tool_choice");
  },
  parallel_tool_calls: async (bench) => {
    for (const isParallel of [true, false]) {
      await ask(bench, { tools: TOOLS, tool_choice: "required", parallel_tool_calls: isParallel });
      expect(lastRequest(bench).grammar?.text).toContain(`"stop_after_first":${!isParallel}`);
    }
  },
  reasoning_effort: async (bench) => {
    await ask(bench, { reasoning_effort: "low" });
    expect(promptOf(bench)).toContain('{"enable_thinking":true}');
    await ask(bench, { reasoning_effort: "none" });
    expect(promptOf(bench)).toContain('{"enable_thinking":false}');
  },
  include_reasoning: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    const [thought, answer] = [whole.slice(0, 4), whole.slice(6)];
    const ofReasoning = async (fields: object) =>
      (await askReasoning(bench, whole.slice(4, 6), fields)).choices[0]?.message;
    expect(await ofReasoning({})).toMatchObject({ content: answer, reasoning_content: thought, reasoning: thought });
    expect(await ofReasoning({ include_reasoning: false })).toEqual({
      role: "assistant",
      content: answer,
      refusal: null,
    });
  },
  separate_reasoning: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    const together = await askReasoning(bench, whole.slice(4, 6), { separate_reasoning: false });
    expect(textOf(together)).toBe(whole);
  },
  chat_template_kwargs: async (bench) => {
    await ask(bench, { chat_template_kwargs: { name: "value" } });
    expect(promptOf(bench)).toContain('{"name":"value"}');
  },
  chat_template: async (bench) => {
    await ask(bench, { chat_template: "rag" });
    expect(promptOf(bench)).toMatch(/^\[rag\]/);
  },
  documents: async (bench) => {
    await ask(bench, { documents: [{ title: "t" }] });
    expect(promptOf(bench)).toContain('{"documents":[{"title":"t"}]}');
    await ask(bench, { documents: [{ title: "t" }], chat_template_kwargs: { documents: [] } });
    expect(promptOf(bench)).toContain('{"documents":[]}');
  },
  add_generation_prompt: async (bench) => {
    await ask(bench, { add_generation_prompt: false });
    expect(promptOf(bench)).toBe("<user>hello\n");
  },
  continue_final_message: async (bench) => {
    await ask(bench, { continue_final_message: true, add_generation_prompt: false });
    expect(promptOf(bench)).toBe("<user>hello");
    const both = await ask(bench, { continue_final_message: true, add_generation_prompt: true });
    expect([both.error?.code, both.error?.param]).toEqual(["invalid_request", "continue_final_message"]);
  },
};
