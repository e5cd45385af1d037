/** The package `@langchain/openai`: chat, Responses, embeddings. */
import assert from "node:assert/strict";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import {
  assertAborts,
  assertFails,
  assertForced,
  BASE_URL,
  EXPECTED,
  FORCED,
  joined,
  KEY,
  report,
} from "./harness.mjs";

const { question, answer, order, toolQuestion, toolResult, toolAnswer } = EXPECTED;
const Order = z.object({
  kind: z.string(),
  name: z.string().nullable(),
  order: z.string().nullable(),
  item: z.string().nullable(),
});
const chat = (model, more = {}) =>
  new ChatOpenAI({ model, temperature: 0, maxRetries: 0, apiKey: KEY, configuration: { baseURL: BASE_URL }, ...more });
const responses = (model) => chat(model, { useResponsesApi: true });
const openingHours = tool(() => toolResult, { name: "opening_hours", schema: z.object({ day: z.string() }) });
const weather = tool(() => "rain", { name: "weather", schema: FORCED });

async function piecesOf(model) {
  const text = async function* () {
    for await (const chunk of await model.stream(question)) yield chunk.text;
  };
  return await joined(text());
}

async function severalTurns(model) {
  const bound = model.bindTools([openingHours]);
  const messages = [new HumanMessage(toolQuestion)];
  const first = await bound.invoke(messages);
  const [call] = first.tool_calls;
  const result = await openingHours.invoke(call);
  assert.ok(first instanceof AIMessage && result instanceof ToolMessage);
  assert.equal((await bound.invoke([...messages, first, result])).text, toolAnswer);
}

/** The answer of one way to bind it. */
const structured = (make, method) => async () => {
  const model = make(method === "functionCalling" ? "demo" : "json").withStructuredOutput(Order, {
    name: "order",
    method,
  });
  const found = await model.invoke(question);
  if (method === "functionCalling") Order.parse(found);
  else assert.deepEqual(found, order);
};

const overChat = {
  text: async () => {
    const message = await chat("pirate").invoke(question);
    assert.equal(message.text, answer);
    assert.ok(message.usage_metadata.output_tokens > 10);
  },
  "text: batch": async () => {
    const answers = await chat("pirate").batch([question, question]);
    assert.deepEqual(
      answers.map(({ text }) => text),
      [answer, answer],
    );
  },
  stream: async () => assert.equal(await piecesOf(chat("pirate")), answer),
  "structured: jsonSchema": structured(chat, "jsonSchema"),
  "structured: functionCalling": structured(chat, "functionCalling"),
  "structured: jsonMode": structured(chat, "jsonMode"),
  "structured: includeRaw": async () => {
    const model = chat("json").withStructuredOutput(Order, { includeRaw: true });
    const { parsed, raw } = await model.invoke(question);
    assert.deepEqual(parsed, order);
    assert.ok(raw instanceof AIMessage);
  },
  "structured: streamed": async () => {
    const partial = [];
    const model = chat("json").withStructuredOutput(Order, { name: "order", method: "jsonSchema" });
    for await (const one of await model.stream(question)) partial.push(one);
    assert.deepEqual(partial.at(-1), order);
  },
  "tools: auto": async () => {
    const { tool_calls: calls } = await chat("tools").bindTools([openingHours]).invoke(toolQuestion);
    assert.deepEqual(
      calls.map(({ name, args }) => [name, args]),
      [["opening_hours", { day: "Monday" }]],
    );
  },
  "tools: streamed": async () => {
    let whole;
    for await (const chunk of await chat("tools").bindTools([openingHours]).stream(toolQuestion))
      whole = whole ? whole.concat(chunk) : chunk;
    assert.deepEqual(whole.tool_calls[0].args, { day: "Monday" });
  },
  "tools: required": async () => {
    const bound = chat("tools").bindTools([weather], { tool_choice: "required" });
    assertForced((await bound.invoke(toolQuestion)).tool_calls[0].args);
  },
  "tools: named": async () => {
    const bound = chat("tools").bindTools([openingHours, weather], { tool_choice: "weather", strict: true });
    const [call] = (await bound.invoke(toolQuestion)).tool_calls;
    assert.equal(call.name, "weather");
    assertForced(call.args);
  },
  "tools: several turns": () => severalTurns(chat("tools")),
  abort: () =>
    assertAborts(async () => {
      const controller = new AbortController();
      const model = chat("pirate", { modelKwargs: { ignore_eos: true }, maxTokens: 900 });
      await assertFails(
        async () => {
          for await (const _ of await model.stream(question, { signal: controller.signal })) controller.abort();
        },
        (error) => /abort/i.test(`${error.name} ${error.message}`),
      );
    }),
  "errors: 401": () =>
    assertFails(
      () => chat("pirate", { apiKey: "wrong" }).invoke(question),
      ({ status }) => status === 401,
    ),
  "errors: 404 model": () =>
    assertFails(
      () => chat("nobody").invoke(question),
      ({ status }) => status === 404,
    ),
  "errors: 400 field": () =>
    assertFails(
      () => chat("pirate", { temperature: 9 }).invoke(question),
      ({ status }) => status === 400,
    ),
};

const overResponses = {
  text: async () => assert.equal((await responses("pirate").invoke(question)).text, answer),
  stream: async () => assert.equal(await piecesOf(responses("pirate")), answer),
  "structured: jsonSchema": structured(responses, "jsonSchema"),
  "tools: auto, several turns": () => severalTurns(responses("tools")),
};

const overEmbeddings = {
  embeddings: async () => {
    const model = new OpenAIEmbeddings({
      model: "demo",
      apiKey: KEY,
      configuration: { baseURL: BASE_URL },
      maxRetries: 0,
    });
    const vectors = await model.embedDocuments(["a red kettle", "order 4821"]);
    const alone = await model.embedQuery("order 4821");
    assert.ok(vectors[1].every((value, i) => Math.abs(value - alone[i]) < 1e-5));
  },
};

await report({ chat: overChat, Responses: overResponses, embeddings: overEmbeddings });
