/** The package `@openai/agents`: its runner over Responses (the default) and over chat. */
import assert from "node:assert/strict";
import * as agents from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { assertAborts, assertFails, BASE_URL, EXPECTED, joined, KEY, report } from "./harness.mjs";

agents.setTracingDisabled(true);
const { question, answer, order, toolQuestion, toolResult, toolAnswer } = EXPECTED;
const Order = z.object({
  kind: z.string(),
  name: z.string().nullable(),
  order: z.string().nullable(),
  item: z.string().nullable(),
});
const clientOf = (apiKey) => new OpenAI({ apiKey, baseURL: BASE_URL, maxRetries: 0 });
const openingHours = agents.tool({
  name: "opening_hours",
  description: "When the shop is open.",
  parameters: z.object({ day: z.string() }),
  execute: async () => toolResult,
});

/** @param Model the class of the API */
function featuresOf(Model) {
  const agentOf = (model, more = {}, key = KEY) => {
    const { modelSettings, ...others } = more;
    const settings = { temperature: 0, ...modelSettings };
    return new agents.Agent({
      name: "shop",
      model: new Model(clientOf(key), model),
      modelSettings: settings,
      ...others,
    });
  };
  return {
    text: async () => assert.equal((await agents.run(agentOf("pirate"), question)).finalOutput, answer),
    stream: async () => {
      const result = await agents.run(agentOf("pirate"), question, { stream: true });
      assert.equal(await joined(result.toTextStream()), answer);
    },
    "text: several turns": async () => {
      const first = await agents.run(agentOf("pirate"), question);
      const input = [...first.history, { role: "user", content: "Thanks" }];
      assert.ok((await agents.run(agentOf("pirate"), input)).finalOutput);
    },
    "structured: outputType": async () =>
      assert.deepEqual((await agents.run(agentOf("json", { outputType: Order }), question)).finalOutput, order),
    "tools: auto, several turns": async () =>
      assert.equal(
        (await agents.run(agentOf("tools", { tools: [openingHours] }), toolQuestion)).finalOutput,
        toolAnswer,
      ),
    "tools: streamed": async () => {
      const result = await agents.run(agentOf("tools", { tools: [openingHours] }), toolQuestion, { stream: true });
      await result.completed;
      assert.equal(result.finalOutput, toolAnswer);
    },
    "tools: required": async () => {
      const more = {
        tools: [openingHours],
        modelSettings: { toolChoice: "required" },
        toolUseBehavior: "stop_on_first_tool",
      };
      assert.equal((await agents.run(agentOf("tools", more), toolQuestion)).finalOutput, toolResult);
    },
    "tools: handoff": async () => {
      const pirate = agentOf("pirate");
      pirate.name = "pirate";
      const more = { handoffs: [pirate], modelSettings: { toolChoice: "transfer_to_pirate" } };
      const result = await agents.run(agentOf("tools", more), question);
      assert.equal(result.lastAgent.name, "pirate");
    },
    abort: () =>
      assertAborts(async () => {
        const controller = new AbortController();
        const outputType = z.object({ text: z.string().min(3000) });
        const agent = agentOf("demo", { outputType });
        const result = await agents.run(agent, question, { stream: true, signal: controller.signal });
        for await (const event of result) if (event.data?.type === "output_text_delta") controller.abort();
      }),
    "errors: 401": () =>
      assertFails(
        () => agents.run(agentOf("pirate", {}, "wrong"), question),
        ({ status }) => status === 401,
      ),
    "errors: 404 model": () =>
      assertFails(
        () => agents.run(agentOf("nobody"), question),
        ({ status }) => status === 404,
      ),
    "errors: 400 field": () =>
      assertFails(
        () => agents.run(agentOf("pirate", { modelSettings: { temperature: 9 } }), question),
        ({ status }) => status === 400,
      ),
  };
}

await report({
  Responses: featuresOf(agents.OpenAIResponsesModel),
  chat: featuresOf(agents.OpenAIChatCompletionsModel),
});
