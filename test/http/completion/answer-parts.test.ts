/**
 * Thoughts and calls of tools in the shapes of Messages and Responses, read by the official SDKs' own stream helpers.
 */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { AnswerSplitter } from "../../../src/http/completion/answer-format/answer-splitter.ts";
import { callFormatOf } from "../../../src/http/completion/answer-format/call-format.ts";
import { reasoningFormatOf } from "../../../src/http/completion/answer-format/reasoning-format.ts";
import type { CompletionAnswer, CompletionJob } from "../../../src/http/completion/completion-kind.ts";
import type { ChoiceEvent } from "../../../src/http/completion/generation.ts";
import { MessageAnswer } from "../../../src/http/completion/messages/message-answer.ts";
import type { ChatRequest } from "../../../src/http/completion/request-schema.ts";
import { ResponseAnswer, type ResponseFields } from "../../../src/http/completion/responses/response-answer.ts";
import { ResponseStore } from "../../../src/http/completion/responses/response-store.ts";
import { openEventStream } from "../../../src/http/completion/answer/sse.ts";
import { createTestApp } from "../../helpers/http-app.ts";

/** The text of each token, in the format of Hermes with thoughts. */
const SCRIPT = [
  "<think>\nlook ",
  "it up",
  "\n</think>\n\nOne ",
  "",
  "moment",
  '\n<tool_call>\n{"name": "weather", "arguments": ',
  '{"city":',
  '"Oslo"}',
  '}\n</tool_call>\n<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>',
];
const EVENTS: readonly ChoiceEvent[] = [
  ...SCRIPT.map((text, id): ChoiceEvent => ({ type: "token", token: { id, logprob: null, text } })),
  { type: "finished", reason: "stop", text: "", stop: null },
];
const SPLITTING = {
  calls: callFormatOf("hermes"),
  toolNames: new Set(["weather", "time"]),
  isParallel: true,
  reasoning: reasoningFormatOf("think"),
  start: "none",
} as const;

const job = <F extends ChatRequest>(fields: object): CompletionJob<F> => ({
  fields: { model: "base", messages: [], ...fields } as unknown as F,
  target: {
    model: "base",
    adapterName: null,
    label: null,
    usageName: "",
    adapter: null,
    cards: [],
    endIds: [],
    fingerprint: "fp",
    release: () => {},
  },
  prompts: [{ ids: Int32Array.of(1, 2, 3), text: null }],
  numCached: () => 1,
  newSplitter: () => new AnswerSplitter(SPLITTING),
});

/** A server's response that streams the whole answer. */
async function streamOf(answer: CompletionAnswer): Promise<Response> {
  const stream = openEventStream(() => {}, { hasNames: true });
  for (const event of EVENTS) for (const chunk of answer.add(0, event)) await stream.send(chunk);
  for (const chunk of answer.trailer({})) await stream.send(chunk);
  stream.close();
  return stream.response;
}

const CALL_ID = expect.stringMatching(/^call_/) as string;

const whole = (answer: CompletionAnswer): object => {
  for (const event of EVENTS) answer.add(0, event);
  return answer.whole();
};

describe("a message", () => {
  const make = () => new MessageAnswer(job({ max_tokens: 100 }), { endsWithContext: false });
  const content = [
    { type: "thinking", thinking: "look it up", signature: expect.stringMatching(/^msg_/) as string },
    { type: "text", text: "One moment" },
    { type: "tool_use", id: CALL_ID, name: "weather", input: { city: "Oslo" } },
    { type: "tool_use", id: CALL_ID, name: "time", input: {} },
  ];

  it("has thoughts, text and calls as blocks", () => {
    expect(whole(make())).toMatchObject({
      content,
      stop_reason: "tool_use",
      usage: { input_tokens: 2, cache_read_input_tokens: 1, output_tokens: SCRIPT.length },
    });
  });

  it("joins to the same blocks in Anthropic's stream helper", async () => {
    const client = new Anthropic({ apiKey: "none", fetch: () => streamOf(make()) });
    const messages = [{ role: "user" as const, content: "hi" }];
    const stream = client.messages.stream({ model: "base", max_tokens: 100, messages });
    expect(await stream.finalMessage()).toMatchObject({ content, stop_reason: "tool_use" });
  });
});

describe("a response", () => {
  const make = async (asked: object = {}) => {
    await using app = await createTestApp();
    const fields = { asked, turn: { tenant: "t", items: [], numEarlier: 0 } };
    const options = { text: app.context.text, store: new ResponseStore(0), hasLogprobs: false };
    return new ResponseAnswer(job<ChatRequest & ResponseFields>(fields), options);
  };
  const rest = [
    { type: "message", status: "completed", content: [{ type: "output_text", text: "One moment" }] },
    { type: "function_call", status: "completed", call_id: CALL_ID, name: "weather", arguments: '{"city":"Oslo"}' },
    { type: "function_call", status: "completed", call_id: CALL_ID, name: "time", arguments: "{}" },
  ];
  const thoughts = { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "look it up" }] };
  const summary = { type: "reasoning", summary: [{ type: "summary_text", text: "look it up" }] };

  it("has thoughts, text and calls as items", async () => {
    expect(whole(await make())).toMatchObject({
      status: "completed",
      output: [thoughts, ...rest],
      usage: { input_tokens: 3, output_tokens: SCRIPT.length, output_tokens_details: { reasoning_tokens: 2 } },
    });
    expect(whole(await make({ reasoning: { summary: "auto" } }))).toMatchObject({ output: [summary, ...rest] });
  });

  it.each([
    [{}, thoughts],
    [{ reasoning: { summary: "auto" } }, summary],
  ])("joins to the same items in OpenAI's stream helper (%j)", async (asked, first) => {
    const answer = await make(asked);
    const client = new OpenAI({ apiKey: "none", fetch: () => streamOf(answer) });
    const stream = client.responses.stream({ model: "base", input: "hi" });
    const seen: string[] = [];
    stream.on("event", ({ type }) => {
      if (seen.at(-1) !== type) seen.push(type);
    });
    expect(await stream.finalResponse()).toMatchObject({ output: [first, ...rest] });
    const added = seen.filter((type) => type === "response.output_item.added");
    const done = seen.filter((type) => type === "response.output_item.done");
    expect([added.length, done.length, seen.at(-1)]).toEqual([4, 4, "response.completed"]);
  });
});
