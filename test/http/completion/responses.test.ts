/**
 * OpenAI's Responses API, by OpenAI's own SDK over a real connection; expected shapes are those of its types and
 * reference.
 */
import { describe, expect, it } from "vitest";
import { answerTo, recordChats } from "../../helpers/http/answers.ts";
import { fittingAdapter } from "../../helpers/http-app.ts";
import {
  test,
  client,
  reopen,
  body,
  promptText,
  errorOf,
  eventsOf,
  useResponses,
} from "../../helpers/http/responses.ts";

useResponses();

const PROMPT = "<user>hi\n<assistant>";

describe("a response", () => {
  it("is one message of output text, with usage and its own settings", async () => {
    const response = await client.responses.create({ ...body, metadata: { a: "b" }, instructions: "be brief" });
    const prompt = `<system>be brief\n${PROMPT}`;
    expect(promptText()).toBe(prompt);
    expect(response.output_text).toBe(answerTo(prompt, 12));
    expect(response).toMatchObject({
      object: "response",
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      error: null,
      model: "base",
      instructions: "be brief",
      metadata: { a: "b" },
      max_output_tokens: 12,
      previous_response_id: null,
      store: true,
      tool_choice: "auto",
      tools: [],
      text: { format: { type: "text" } },
      output: [
        {
          type: "message",
          role: "assistant",
          status: "incomplete",
          content: [{ type: "output_text", annotations: [], logprobs: [] }],
        },
      ],
      usage: {
        input_tokens: prompt.length,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 12,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: prompt.length + 12,
      },
    });
    expect(response.id).toMatch(/^resp_/);
    expect(response.output[0]?.id).toMatch(/^msg_/);
  });

  it("is completed where the model ends it, and may ask for more tokens than the context has", async () => {
    const { status, incomplete_details: details } = await client.responses.create({
      ...body,
      max_output_tokens: 32_000,
    });
    expect([status, details]).toEqual(["completed", null]);
    expect(test.engine.requests.at(-1)?.maxTokens).toBe(512 - PROMPT.length);
  });

  it("reads every kind of message, call, output and thought", async () => {
    const seen = recordChats(test);
    const parameters = { type: "object", properties: { city: { type: "string" } } };
    await client.responses.create({
      ...body,
      instructions: "be brief",
      reasoning: { effort: "low" },
      tools: [{ type: "function", name: "weather", description: "the weather", parameters, strict: true }],
      input: [
        { role: "developer", content: "no jokes" },
        { role: "user", content: [{ type: "input_text", text: "Oslo?" }] },
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "look it up" }] },
        {
          type: "message",
          id: "msg_1",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "One moment", annotations: [] }],
        },
        { type: "function_call", call_id: "c1", name: "weather", arguments: '{"city":"Oslo"}' },
        { type: "function_call", call_id: "c2", name: "weather", arguments: '{"city":"Bergen"}' },
        { type: "function_call_output", call_id: "c1", output: "rain" },
        { type: "function_call_output", call_id: "c2", output: [{ type: "input_text", text: "more rain" }] },
        { role: "assistant", content: "Rain" },
        { role: "user", content: "and?" },
      ],
    });
    const call = (id: string, city: string) => ({
      id,
      type: "function",
      function: { name: "weather", arguments: JSON.stringify({ city }) },
    });
    const [prompt] = seen as [(typeof seen)[number]];
    expect(prompt.messages).toEqual([
      { role: "system", content: "be brief" },
      { role: "system", content: "no jokes" },
      { role: "user", content: "Oslo?" },
      {
        role: "assistant",
        content: "One moment",
        reasoning_content: "look it up",
        tool_calls: [call("c1", "Oslo"), call("c2", "Bergen")],
      },
      { role: "tool", tool_call_id: "c1", content: "rain" },
      { role: "tool", tool_call_id: "c2", content: "more rain" },
      { role: "assistant", content: "Rain" },
      { role: "user", content: "and?" },
    ]);
    const fn = { name: "weather", description: "the weather", parameters, strict: true };
    expect(prompt.tools).toEqual([{ type: "function", function: fn }]);
    // The template of this server has only enable_thinking.
    expect(prompt.kwargs).toEqual({ enable_thinking: true });
    await client.responses.create({ ...body, input: "hi", reasoning: { effort: "none" } });
    expect(seen.at(-1)).toMatchObject({ kwargs: { enable_thinking: false } });
  });

  const encrypted = { type: "reasoning", encrypted_content: "x" };
  const call = { type: "function_call", call_id: "c", name: "f", arguments: "{}" };
  it.each([
    ["reasoning that only its server can read", { ...encrypted, summary: [] }, "encrypted_content"],
    ["a call in a namespace", { ...call, namespace: "n" }, "namespace"],
  ])("refuses %s", async (_, item, field) => {
    const input = [{ role: "user", content: "hi" }, item];
    expect(await errorOf({ input })).toEqual([400, "unsupported_parameter", `input.1.${field}`]);
  });

  it("reads the text of reasoning that is encrypted, too", async () => {
    const reasoning = { ...encrypted, summary: [{ type: "summary_text", text: "hm" }] };
    expect((await errorOf({ input: [{ role: "user", content: "hi" }, reasoning] }))[0]).toBe(200);
  });

  it("has log-probabilities where they are asked for", async () => {
    const { output } = await client.responses.create({
      ...body,
      include: ["message.output_text.logprobs"],
      ...({ top_logprobs: 2 } as object), // absent from the SDK's types
    });
    const [item] = output;
    const part = item?.type === "message" ? item.content[0] : undefined;
    if (part?.type !== "output_text") throw new Error("no text");
    expect(part.logprobs?.map(({ token }) => token).join("")).toBe(part.text);
    expect(part.logprobs?.[0]).toMatchObject({ logprob: -0.5, top_logprobs: [{}, {}] });
  });

  it("comes from the adapter that the model names, and may continue the last message", async () => {
    await test.put("acme", fittingAdapter(1));
    const input = [
      { role: "user" as const, content: "hi" },
      { role: "assistant" as const, content: "Once" },
    ];
    const more = { continue_final_message: true, add_generation_prompt: false };
    expect((await client.responses.create({ ...body, ...more, model: "acme", input })).model).toBe("acme");
    expect(test.engine.requests.at(-1)?.adapter).not.toBeNull();
    expect(promptText()).toBe("<user>hi\n<assistant>Once");
  });
});

describe("a response of a format", () => {
  const schema = {
    type: "object",
    properties: { n: { type: "integer" } },
    required: ["n"],
    additionalProperties: false,
  };

  it("binds the answer as chat's response_format does", async () => {
    const format = { type: "json_schema" as const, name: "count", schema, strict: true };
    const { text } = await client.responses.create({ ...body, text: { format } });
    const bound = test.engine.requests.at(-1)?.grammar;
    const json_schema = { name: "count", schema, strict: true };
    const chat = { model: "base", messages: [{ role: "user", content: "hi" }], max_tokens: 1 };
    await test.post("/v1/chat/completions", { ...chat, response_format: { type: "json_schema", json_schema } });
    expect(bound).toEqual(test.engine.requests.at(-1)?.grammar);
    expect(bound).toBeTruthy();
    expect(text).toEqual({ format });
    await client.responses.create({ ...body, text: { format: { type: "json_object" } } });
    expect(test.engine.requests.at(-1)?.grammar).toBeTruthy();
    await client.responses.create({ ...body, text: { format: { type: "text" } } });
    expect(test.engine.requests.at(-1)?.grammar ?? null).toBeNull();
  });

  it("that cannot be honoured is refused under its own name", async () => {
    const format = {
      type: "json_schema",
      name: "x",
      schema: { type: "string", contentEncoding: "base64", $ref: "no" },
    };
    const [status, , param] = await errorOf({ text: { format } });
    expect([status, param]).toEqual([400, "text.format"]);
    expect(await errorOf({ text: { format: { type: "json_schema", name: "x" } } })).toEqual([
      400,
      "invalid_request",
      "text.format.schema",
    ]);
  });
});

describe("a streamed response", () => {
  it("has OpenAI's events in their order, numbered, and joins to the unstreamed response", async () => {
    const events = await eventsOf();
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, i) => i));
    const types = events.map(({ type }) => type);
    expect(types.filter((type, i) => type !== types[i - 1])).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ]);
    const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
    expect(text).toBe(answerTo(PROMPT, 12));
    const last = events.at(-1);
    if (last?.type !== "response.incomplete") throw new Error("no last event");
    const whole = await client.responses.create(body);
    const same = { id: "", output: [], created_at: 0, completed_at: null, output_text: "" };
    expect({ ...last.response, ...same }).toEqual({ ...whole, ...same });
    expect(last.response.output).toMatchObject([{ content: [{ text }] }]);
  });

  it("joins in the SDK's own helper, and has no closing mark", async () => {
    const stream = client.responses.stream({ ...body, max_output_tokens: 100 });
    const final = await stream.finalResponse();
    // The helper of openai 6.30 sets no output_text.
    expect([final.status, final.output]).toMatchObject(["completed", [{ content: [{ text: answerTo(PROMPT, 100) }] }]]);
    const raw = await (await test.post("/v1/responses", { ...body, stream: true })).text();
    expect(raw).not.toContain("[DONE]");
    expect(raw).toMatch(/^event: response\.created\ndata: /);
  });

  it("that fails on its way says so in two events", async () => {
    await reopen({ stepMs: 5 });
    const stream = await test.post("/v1/responses", { ...body, max_output_tokens: 100, stream: true });
    test.engine.kill();
    const events = (await stream.text()).split("\n\n").filter(Boolean).slice(-2);
    expect(events[0]).toMatch(/^event: error\ndata: .*"code":"engine_unavailable"/);
    expect(events[1]).toMatch(/^event: response\.failed\ndata: .*"status":"failed"/);
  });

  it("ends the work when the client leaves", async () => {
    await reopen({ stepMs: 5 });
    const stream = await client.responses.create({ ...body, max_output_tokens: 400, stream: true });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    await expect.poll(() => [test.engine.numRunning(), test.context.inFlight.count]).toEqual([0, 0]);
  });
});

describe("a response that is refused", () => {
  const image = { type: "input_image", image_url: "https://example.org/a.png" };
  it.each([
    ["an image", { input: [{ role: "user", content: [image] }] }, "input.0.content.0"],
    ["a call of a server's tool", { input: [{ type: "web_search_call", id: "ws_1" }] }, "input.0"],
    ["a tool of a server", { tools: [{ type: "web_search" }] }, "tools.0"],
    ["a choice of such a tool", { tool_choice: { type: "file_search" } }, "tool_choice"],
    ["the background", { background: true }, "background"],
    ["a conversation", { conversation: "conv_1" }, "conversation"],
    ["a kept prompt", { prompt: { id: "p" } }, "prompt"],
    ["truncation", { truncation: "auto" }, "truncation"],
    ["details it lacks", { include: ["file_search_call.results"] }, "include"],
    ["chat's messages", { messages: [] }, "messages"],
    ["chat's maximum", { max_tokens: 3 }, "max_tokens"],
    ["chat's format", { response_format: { type: "json_object" } }, "response_format"],
  ])("names %s", async (_, fields, param) => {
    expect(await errorOf(fields)).toEqual([400, "unsupported_parameter", param]);
  });

  it.each([
    ["no input", { input: undefined }, "input"],
    ["a message without content", { input: [{ role: "user" }] }, "input.0.content"],
    ["a role that is none", { input: [{ role: "robot", content: "x" }] }, "input.0.role"],
    ["a call without arguments", { input: [{ type: "function_call", call_id: "c", name: "f" }] }, "input.0"],
    ["an output without its call", { input: [{ type: "function_call_output", output: "x" }] }, "input.0.call_id"],
    ["a function without a name", { tools: [{ type: "function" }] }, "tools.0.name"],
    ["max_output_tokens 0", { max_output_tokens: 0 }, "max_output_tokens"],
  ])("names %s", async (_, fields, param) => {
    expect(await errorOf(fields)).toEqual([400, "invalid_request", param]);
  });

  it("is longer than the context", async () => {
    expect(await errorOf({ input: "x".repeat(600) })).toEqual([400, "context_length_exceeded", "input"]);
  });
});
