/** The features of Vercel's AI SDK, for any provider of it. */
import assert from "node:assert/strict";
import * as ai from "ai";
import { z } from "zod";
import { assertAborts, assertFails, assertForced, ENDLESS, EXPECTED, FORCED, joined } from "./harness.mjs";

const { question, answer, order, toolQuestion, toolResult, toolAnswer } = EXPECTED;
const Order = z.object({
  kind: z.string(),
  name: z.string().nullable(),
  order: z.string().nullable(),
  item: z.string().nullable(),
});
const opening_hours = ai.tool({ inputSchema: z.object({ day: z.string() }), execute: async () => toolResult });
const weather = ai.tool({ inputSchema: ai.jsonSchema(FORCED) });
const asked = { prompt: question, temperature: 0, maxRetries: 0 };
const askedTool = { ...asked, prompt: toolQuestion };

/** @param model gives a model by its name */
export function aiSdkFeatures({ model, withWrongKey, embedding }) {
  const features = { ...texts(model), ...objects(model), ...tools(model), ...failures(model, withWrongKey) };
  if (embedding)
    features.embeddings = async () => {
      const { embeddings } = await ai.embedMany({
        model: embedding,
        values: ["a red kettle", "order 4821"],
        maxRetries: 0,
      });
      assert.ok(Math.abs(Math.hypot(...embeddings[1]) - 1) < 1e-3);
    };
  return features;
}

const texts = (model) => ({
  text: async () => {
    const { text, finishReason, usage } = await ai.generateText({ ...asked, model: model("pirate") });
    assert.deepEqual([text, finishReason], [answer, "stop"]);
    assert.ok(usage.outputTokens > 10);
  },
  stream: async () => {
    const result = ai.streamText({ ...asked, model: model("pirate") });
    assert.equal(await joined(result.textStream), answer);
    assert.ok((await result.usage).outputTokens > 10);
  },
});

const objects = (model) => ({
  "structured: generateObject": async () => {
    const { object } = await ai.generateObject({ ...asked, model: model("json"), schema: Order });
    assert.deepEqual(object, order);
  },
  "structured: streamObject": async () => {
    const result = ai.streamObject({ ...asked, model: model("json"), schema: Order });
    const partial = [];
    for await (const one of result.partialObjectStream) partial.push(one);
    assert.ok(partial.length > 1);
    assert.deepEqual(await result.object, order);
  },
  "structured: generateObject no-schema": async () => {
    const { object } = await ai.generateObject({ ...asked, model: model("json"), output: "no-schema" });
    assert.deepEqual(object, order);
  },
  "structured: generateObject enum": async () => {
    const values = ["order", "kettle"];
    const { object } = await ai.generateObject({ ...asked, model: model("demo"), output: "enum", enum: values });
    assert.ok(values.includes(object));
  },
  "structured: generateObject array": async () => {
    const schema = z.object({ item: z.enum(["red", "blue"]) });
    const settings = { ...asked, model: model("demo"), output: "array", schema, maxOutputTokens: 400 };
    const { object } = await ai.generateObject(settings);
    assert.ok(Array.isArray(object));
  },
  "structured: Output.object": async () => {
    const settings = { ...asked, model: model("json"), output: ai.Output.object({ schema: Order }) };
    assert.deepEqual((await ai.generateText(settings)).output, order);
    assert.deepEqual(await ai.streamText(settings).output, order);
  },
  "structured: Output.choice": async () => {
    const output = ai.Output.choice({ options: ["order", "kettle"] });
    assert.ok(["order", "kettle"].includes((await ai.generateText({ ...asked, model: model("demo"), output })).output));
  },
  "structured: Output.json": async () => {
    const settings = { ...asked, model: model("json"), output: ai.Output.json() };
    assert.deepEqual((await ai.generateText(settings)).output, order);
  },
});

const tools = (model) => ({
  "tools: auto": async () => {
    const { toolCalls } = await ai.generateText({ ...askedTool, model: model("tools"), tools: { opening_hours } });
    assert.deepEqual(
      toolCalls.map(({ toolName, input }) => [toolName, input]),
      [["opening_hours", { day: "Monday" }]],
    );
  },
  "tools: streamed": async () => {
    const result = ai.streamText({ ...askedTool, model: model("tools"), tools: { opening_hours } });
    assert.deepEqual((await result.toolCalls)[0].input, { day: "Monday" });
  },
  "tools: required": async () => {
    const settings = { ...askedTool, model: model("tools"), tools: { weather }, toolChoice: "required" };
    assertForced((await ai.generateText(settings)).toolCalls[0].input);
  },
  "tools: named": async () => {
    const toolChoice = { type: "tool", toolName: "weather" };
    const settings = { ...askedTool, model: model("tools"), tools: { opening_hours, weather }, toolChoice };
    const { toolCalls } = await ai.generateText(settings);
    assert.equal(toolCalls[0].toolName, "weather");
    assertForced(toolCalls[0].input);
  },
  "tools: several turns": async () => {
    const stopWhen = ai.stepCountIs(3);
    const settings = { ...askedTool, model: model("tools"), tools: { opening_hours }, stopWhen };
    assert.equal((await ai.generateText(settings)).text, toolAnswer);
    assert.equal(await ai.streamText(settings).text, toolAnswer);
  },
});

const failures = (model, withWrongKey) => ({
  abort: () =>
    assertAborts(async () => {
      const controller = new AbortController();
      const output = ai.Output.object({ schema: ai.jsonSchema(ENDLESS) });
      const settings = { ...asked, model: model("demo"), output, abortSignal: controller.signal, onError: () => {} };
      for await (const part of ai.streamText(settings).fullStream) if (part.type === "text-delta") controller.abort();
    }),
  "errors: 401": failsWith(401, () => ({ model: withWrongKey("pirate") })),
  "errors: 404 model": failsWith(404, () => ({ model: model("nobody") })),
  "errors: 400 field": failsWith(400, () => ({ model: model("pirate"), temperature: 9 })),
});

const failsWith = (status, settings) => () =>
  assertFails(
    () => ai.generateText({ ...asked, ...settings() }),
    (error) => ai.APICallError.isInstance(error) && error.statusCode === status && error.message !== "",
  );
