/** The package `openai`: chat, Responses, completions and embeddings. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
  assertAborts,
  assertFails,
  assertForced,
  BASE_URL,
  EXPECTED,
  OPENING_HOURS,
  FORCED,
  joined,
  KEY,
  report,
} from "./harness.mjs";

const client = new OpenAI({ apiKey: KEY, baseURL: BASE_URL, maxRetries: 0 });
const { question, answer, order, toolQuestion, toolResult, toolAnswer } = EXPECTED;
const Order = z.object({
  kind: z.string(),
  name: z.string().nullable(),
  order: z.string().nullable(),
  item: z.string().nullable(),
});
const asked = { model: "pirate", temperature: 0, messages: [{ role: "user", content: question }] };
const askedTool = { model: "tools", temperature: 0, messages: [{ role: "user", content: toolQuestion }] };
const openingHours = { type: "function", function: { name: "opening_hours", parameters: OPENING_HOURS } };
const weather = { type: "function", function: { name: "weather", parameters: FORCED, strict: true } };
const status = (wanted) => (error) => error.status === wanted;

async function chatDeltas(stream) {
  const text = async function* () {
    for await (const chunk of stream) yield chunk.choices[0]?.delta.content;
  };
  return await joined(text());
}

const overChat = {
  text: async () => {
    const { choices, usage } = await client.chat.completions.create(asked);
    assert.equal(choices[0].message.content, answer);
    assert.equal(choices[0].finish_reason, "stop");
    assert.ok(usage.completion_tokens > 10);
  },
  stream: async () =>
    assert.equal(await chatDeltas(await client.chat.completions.create({ ...asked, stream: true })), answer),
  "stream: helper": async () => {
    const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
    assert.equal((await stream.finalChatCompletion()).choices[0].message.content, answer);
    assert.ok((await stream.totalUsage()).completion_tokens > 10);
  },
  "structured: parse (json_schema)": async () => {
    const response_format = zodResponseFormat(Order, "order");
    const { choices } = await client.chat.completions.parse({ ...asked, model: "json", response_format });
    assert.deepEqual(choices[0].message.parsed, order);
  },
  "structured: json_object": async () => {
    const body = { ...asked, model: "json", response_format: { type: "json_object" } };
    const { choices } = await client.chat.completions.create(body);
    assert.deepEqual(JSON.parse(choices[0].message.content), order);
  },
  "tools: auto": async () => {
    const { choices } = await client.chat.completions.create({ ...askedTool, tools: [openingHours] });
    assert.equal(choices[0].finish_reason, "tool_calls");
    const [call] = choices[0].message.tool_calls;
    assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["opening_hours", { day: "Monday" }]);
  },
  "tools: streamed": async () => {
    const stream = client.chat.completions.stream({ ...askedTool, tools: [openingHours] });
    const { choices } = await stream.finalChatCompletion();
    assert.equal(choices[0].message.tool_calls[0].function.arguments, '{"day": "Monday"}');
  },
  "tools: required": async () => {
    const tools = [zodFunction({ name: "order", parameters: Order }), weather];
    const body = { ...askedTool, tools, tool_choice: "required", parallel_tool_calls: false };
    const { choices } = await client.chat.completions.parse(body);
    const [call] = choices[0].message.tool_calls;
    assert.ok(["order", "weather"].includes(call.function.name));
    assert.ok(call.function.parsed_arguments);
  },
  "tools: named": async () => {
    const tool_choice = { type: "function", function: { name: "weather" } };
    const { choices } = await client.chat.completions.create({
      ...askedTool,
      tools: [openingHours, weather],
      tool_choice,
    });
    const [call] = choices[0].message.tool_calls;
    assert.equal(call.function.name, "weather");
    assertForced(JSON.parse(call.function.arguments));
  },
  "tools: several turns": async () => {
    const tool = {
      ...openingHours,
      function: { ...openingHours.function, parse: JSON.parse, function: () => toolResult },
    };
    const runner = client.chat.completions.runTools({ ...askedTool, tools: [tool] });
    assert.equal(await runner.finalContent(), toolAnswer);
  },
  abort: () =>
    assertAborts(async () => {
      const body = { ...asked, stream: true, ignore_eos: true, max_tokens: 900 };
      for await (const _ of await client.chat.completions.create(body)) break;
    }),
  "errors: 401": () =>
    assertFails(
      () => client.withOptions({ apiKey: "wrong" }).models.list(),
      (error) => error instanceof OpenAI.AuthenticationError,
    ),
  "errors: 404 model": () =>
    assertFails(
      () => client.chat.completions.create({ ...asked, model: "nobody" }),
      (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
    ),
  "errors: 400 field": () =>
    assertFails(
      () => client.chat.completions.create({ ...asked, temperature: 9 }),
      (error) => status(400)(error) && error.param === "temperature",
    ),
  models: async () => {
    const names = [];
    for await (const { id } of client.models.list()) names.push(id);
    assert.ok(names.includes("pirate") && names.includes("demo"));
  },
};

const overResponses = {
  text: async () => {
    const response = await client.responses.create({ model: "pirate", temperature: 0, input: question });
    assert.equal(response.output_text, answer);
  },
  stream: async () => {
    const text = async function* () {
      const stream = await client.responses.create({ model: "pirate", temperature: 0, input: question, stream: true });
      for await (const event of stream) if (event.type === "response.output_text.delta") yield event.delta;
    };
    assert.equal(await joined(text()), answer);
  },
  "structured: parse": async () => {
    const text = { format: zodTextFormat(Order, "order") };
    const response = await client.responses.parse({ model: "json", temperature: 0, input: question, text });
    assert.deepEqual(response.output_parsed, order);
  },
  "tools: auto, several turns": async () => {
    const tools = [{ type: "function", name: "opening_hours", parameters: OPENING_HOURS, strict: true }];
    const body = { model: "tools", temperature: 0, tools };
    const first = await client.responses.create({ ...body, input: toolQuestion });
    const call = first.output.find(({ type }) => type === "function_call");
    assert.deepEqual(JSON.parse(call.arguments), { day: "Monday" });
    const input = [{ type: "function_call_output", call_id: call.call_id, output: toolResult }];
    const second = await client.responses.create({ ...body, input, previous_response_id: first.id });
    assert.equal(second.output_text, toolAnswer);
  },
};

const overCompletions = {
  text: async () => {
    const prompt = `<|user|>${question}<|end|><|assistant|>`;
    const { choices } = await client.completions.create({ model: "pirate", prompt, temperature: 0, max_tokens: 60 });
    assert.equal(choices[0].text, answer);
  },
};

const overEmbeddings = {
  embeddings: async () => {
    const { data } = await client.embeddings.create({ model: "demo", input: ["a red kettle", "order 4821"] });
    assert.equal(data.length, 2);
    assert.ok(Math.abs(Math.hypot(...data[0].embedding) - 1) < 1e-3);
  },
};

await report({ chat: overChat, Responses: overResponses, completions: overCompletions, embeddings: overEmbeddings });
