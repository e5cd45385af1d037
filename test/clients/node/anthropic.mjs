/** The package `@anthropic-ai/sdk`: Messages. */
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import {
  assertAborts,
  assertFails,
  assertForced,
  EXPECTED,
  OPENING_HOURS,
  FORCED,
  joined,
  KEY,
  report,
  URL_OF_SERVER,
} from "./harness.mjs";

const client = new Anthropic({ apiKey: KEY, baseURL: URL_OF_SERVER, maxRetries: 0 });
const { question, answer, order, toolQuestion, toolResult, toolAnswer } = EXPECTED;
const Order = z.object({
  kind: z.string(),
  name: z.string().nullable(),
  order: z.string().nullable(),
  item: z.string().nullable(),
});
const greedy = { max_tokens: 80, temperature: 0 };
const asked = { ...greedy, model: "pirate", messages: [{ role: "user", content: question }] };
const askedTool = { ...greedy, model: "tools", messages: [{ role: "user", content: toolQuestion }] };
const openingHours = { name: "opening_hours", input_schema: OPENING_HOURS };
const weather = { name: "weather", input_schema: FORCED };
const callOf = ({ content }) => content.find(({ type }) => type === "tool_use");

const messages = {
  text: async () => {
    const message = await client.messages.create(asked);
    assert.equal(message.content[0].text, answer);
    assert.equal(message.stop_reason, "end_turn");
  },
  stream: async () => {
    const text = async function* () {
      const stream = await client.messages.create({ ...asked, stream: true });
      for await (const event of stream) if (event.type === "content_block_delta") yield event.delta.text;
    };
    assert.equal(await joined(text()), answer);
  },
  "stream: helper": async () => assert.equal(await client.messages.stream(asked).finalText(), answer),
  "structured: output_config": async () => {
    const output_config = { format: zodOutputFormat(Order) };
    const message = await client.messages.parse({ ...asked, model: "json", output_config });
    assert.deepEqual(message.parsed_output, order);
  },
  "tools: auto": async () => {
    const message = await client.messages.create({ ...askedTool, tools: [openingHours] });
    assert.equal(message.stop_reason, "tool_use");
    assert.deepEqual([callOf(message).name, callOf(message).input], ["opening_hours", { day: "Monday" }]);
  },
  "tools: streamed": async () => {
    const message = await client.messages.stream({ ...askedTool, tools: [openingHours] }).finalMessage();
    assert.deepEqual(callOf(message).input, { day: "Monday" });
  },
  "tools: required": async () => {
    const message = await client.messages.create({ ...askedTool, tools: [weather], tool_choice: { type: "any" } });
    assertForced(callOf(message).input);
  },
  "tools: named": async () => {
    const tool_choice = { type: "tool", name: "weather" };
    const message = await client.messages.create({ ...askedTool, tools: [openingHours, weather], tool_choice });
    assert.equal(callOf(message).name, "weather");
    assertForced(callOf(message).input);
  },
  "tools: several turns": async () => {
    const tool = betaZodTool({
      name: "opening_hours",
      description: "When the shop is open.",
      inputSchema: z.object({ day: z.string() }),
      run: () => toolResult,
    });
    const message = await client.beta.messages.toolRunner({ ...askedTool, tools: [tool] });
    assert.equal(message.content[0].text, toolAnswer);
  },
  abort: () =>
    assertAborts(async () => {
      const format = { type: "json_schema", schema: { type: "string", minLength: 3000 } };
      const stream = client.messages.stream({ ...asked, max_tokens: 900, output_config: { format } });
      for await (const event of stream) if (event.type === "content_block_delta") break;
    }),
  "errors: 401": () =>
    assertFails(
      () => client.withOptions({ apiKey: "wrong" }).messages.create(asked),
      (error) => error instanceof Anthropic.AuthenticationError,
    ),
  "errors: 404 model": () =>
    assertFails(
      () => client.messages.create({ ...asked, model: "nobody" }),
      (error) => error instanceof Anthropic.NotFoundError && error.error.error.type === "not_found_error",
    ),
  "errors: 400 field": () =>
    assertFails(
      () => client.messages.create({ ...asked, temperature: 9 }),
      (error) => error instanceof Anthropic.BadRequestError && error.message.includes("temperature"),
    ),
  "count tokens": async () => {
    const { input_tokens } = await client.messages.countTokens({ model: "pirate", messages: asked.messages });
    assert.ok(input_tokens > 10);
  },
};

await report({ Messages: messages });
