/**
 * Anthropic's Messages API, by Anthropic's own SDK over a real connection; expected shapes are those of its types and
 * reference.
 */
import Anthropic from "@anthropic-ai/sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { answerTo, recordChats } from "../../helpers/http/answers.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../../helpers/http-app.ts";

let test: TestApp;
let client: Anthropic;
const open = async (options: TestAppOptions = {}) => {
  test = await createTestApp(options);
  client = new Anthropic({ apiKey: "secret", baseURL: await test.listen(), maxRetries: 0 });
};
beforeEach(() => open());
afterEach(() => test[Symbol.asyncDispose]());

const body = { model: "base", max_tokens: 12, temperature: 0, messages: [{ role: "user" as const, content: "hi" }] };
const promptText = () => new TextDecoder().decode(Uint8Array.from(test.engine.requests.at(-1)?.promptIds ?? []));
const PROMPT = "<user>hi\n<assistant>";
const post = async (fields: object, path = "/v1/messages", headers: Record<string, string> = {}) => {
  const response = await test.post(path, { ...body, ...fields }, headers);
  return { status: response.status, headers: response.headers, text: await response.text() };
};
const errorOf = async (fields: object, path?: string) => {
  const { status, text } = await post(fields, path);
  const json = JSON.parse(text) as { type: string; error: { type: string; code: string; param: string | null } };
  return { status, ...json };
};

describe("a message", () => {
  it("is one text block, with Anthropic's usage", async () => {
    const { data: message, request_id } = await client.messages.create(body).withResponse();
    expect(promptText()).toBe(PROMPT);
    expect(message).toMatchObject({
      type: "message",
      role: "assistant",
      model: "base",
      content: [{ type: "text", text: answerTo(PROMPT, 12), citations: null }],
      stop_reason: "max_tokens",
      stop_sequence: null,
      usage: { input_tokens: 20, output_tokens: 12, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
    });
    expect(message.id).toMatch(/^msg_/);
    expect(request_id).toBeTruthy();
  });

  it("ends at its turn's end, at a stop sequence, or with the context", async () => {
    const ended = await client.messages.create({ ...body, max_tokens: 100 });
    expect([ended.stop_reason, ended.stop_sequence]).toEqual(["end_turn", null]);
    const whole = answerTo(PROMPT, 12);
    const stop = whole.slice(4, 6);
    const stopped = await client.messages.create({ ...body, stop_sequences: ["never", stop] });
    expect([stopped.stop_reason, stopped.stop_sequence]).toEqual(["stop_sequence", stop]);
    expect(stopped.content).toMatchObject([{ text: whole.slice(0, whole.indexOf(stop)) }]);
    const long = { ...body, messages: [{ role: "user" as const, content: "x".repeat(480) }], max_tokens: 16_000 };
    expect((await client.messages.create(long)).stop_reason).toBe("model_context_window_exceeded");
    expect(test.engine.requests.at(-1)?.maxTokens).toBe(512 - 480 - 18);
  });

  it("begins with the system's text and the blocks' text", async () => {
    await client.messages.create({
      ...body,
      system: [
        { type: "text", text: "be", cache_control: { type: "ephemeral" } },
        { type: "text", text: "brief" },
      ],
      messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
    });
    expect(promptText()).toMatch(/^<system>be\nbrief\n<user>/);
    await client.messages.create({ ...body, system: "short" });
    expect(promptText()).toBe(`<system>short\n${PROMPT}`);
  });

  it("continues a last message of the assistant", async () => {
    await client.messages.create({ ...body, messages: [...body.messages, { role: "assistant", content: "Once" }] });
    expect(promptText()).toBe("<user>hi\n<assistant>Once");
  });

  it("gives tools, calls, results and thoughts to the template as chat does", async () => {
    const seen = recordChats(test);
    const schema = { type: "object" as const, properties: { city: { type: "string" } } };
    await client.messages.create({
      ...body,
      tools: [{ name: "weather", description: "the weather", input_schema: schema }],
      tool_choice: { type: "auto" },
      thinking: { type: "enabled", budget_tokens: 1024 },
      messages: [
        { role: "user", content: "Oslo?" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "look it up", signature: "x" },
            { type: "text", text: "One moment" },
            { type: "tool_use", id: "call_1", name: "weather", input: { city: "Oslo" } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "call_1", content: [{ type: "text", text: "rain" }] },
            { type: "text", text: "and?" },
          ],
        },
      ],
    });
    const call = { id: "call_1", type: "function", function: { name: "weather", arguments: { city: "Oslo" } } };
    expect(seen).toMatchObject([
      {
        messages: [
          { role: "user", content: "Oslo?" },
          { role: "assistant", content: "One moment", reasoning_content: "look it up", tool_calls: [call] },
          { role: "tool", tool_call_id: "call_1", content: "rain" },
          { role: "user", content: [{ type: "text", text: "and?" }] },
        ],
        tools: [{ type: "function", function: { name: "weather", description: "the weather", parameters: schema } }],
        kwargs: { enable_thinking: true },
      },
    ]);
  });

  it("comes from the adapter that the model names", async () => {
    await test.put("acme", fittingAdapter(1));
    expect((await client.messages.create({ ...body, model: "acme" })).model).toBe("acme");
    expect(test.engine.requests.at(-1)?.adapter).not.toBeNull();
  });
});

describe("a streamed message", () => {
  it("has Anthropic's events in their order, and joins to the unstreamed message", async () => {
    const stream = client.messages.stream(body);
    const types: string[] = [];
    stream.on("streamEvent", (event) => types.push(event.type));
    const final = await stream.finalMessage();
    const whole = await client.messages.create(body);
    expect({ ...final, id: "" }).toMatchObject({ ...whole, id: "" });
    expect(types.filter((type, i) => type !== types[i - 1])).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
  });

  it("names every event as its type, pings once, and ends without a mark", async () => {
    const { text, headers } = await post({ stream: true });
    const events = text.split("\n\n").filter(Boolean);
    expect(headers.get("request-id")).toBe(headers.get("x-request-id"));
    for (const event of events) {
      const [name, data] = event.split("\n");
      expect(name).toBe(`event: ${(JSON.parse(data?.slice(6) ?? "") as { type: string }).type}`);
    }
    expect(events.filter((event) => event.startsWith("event: ping"))).toHaveLength(1);
    expect(events.at(-1)).toBe('event: message_stop\ndata: {"type":"message_stop"}');
  });

  it("that fails on its way ends with an error event", async () => {
    await test[Symbol.asyncDispose]();
    await open({ stepMs: 5 });
    const stream = client.messages.stream({ ...body, max_tokens: 100 });
    await new Promise<void>((resolve) => stream.once("text", () => resolve()));
    test.engine.kill();
    await expect(stream.finalMessage()).rejects.toThrow(/overloaded_error/);
  });

  it("ends the work when the client leaves", async () => {
    await test[Symbol.asyncDispose]();
    await open({ stepMs: 5 });
    const stream = client.messages.stream({ ...body, max_tokens: 400 });
    await new Promise<void>((resolve) => stream.once("text", () => resolve()));
    stream.abort();
    await stream.done().catch(() => {});
    await expect.poll(() => [test.engine.numRunning(), test.context.inFlight.count]).toEqual([0, 0]);
  });
});

describe("POST /v1/messages/count_tokens", () => {
  it("counts what the message would have as its input", async () => {
    const { max_tokens: _, temperature: __, ...counted } = { ...body, system: "short" };
    const { input_tokens: count } = await client.messages.countTokens(counted);
    const { usage } = await client.messages.create({ ...body, system: "short" });
    expect(count).toBe(usage.input_tokens);
    expect(test.engine.requests).toHaveLength(1);
  });
});

describe("an error", () => {
  it("has Anthropic's shape on every way out", async () => {
    const { status, headers, text } = await post({ max_tokens: undefined });
    expect([status, JSON.parse(text)]).toEqual([
      400,
      {
        type: "error",
        error: {
          type: "invalid_request_error",
          message: '"max_tokens" is missing.',
          code: "invalid_request",
          param: "max_tokens",
        },
        request_id: headers.get("x-request-id"),
      },
    ]);
    await expect(client.messages.create({ ...body, model: "nobody" })).rejects.toMatchObject({
      status: 404,
      error: { error: { type: "not_found_error" } },
    });
    await expect(client.get("/v1/messages")).rejects.toMatchObject({ status: 405, error: { type: "error" } });
  });

  it("lets Anthropic's message threads send the whole conversation", async () => {
    const { messages, ...settings } = body;
    const thread = client.beta.messages.thread({ ...settings, messages });
    await thread.send({ role: "user", content: "one" });
    await thread.send({ role: "user", content: "two" });
    expect(promptText()).toMatch(/^<user>hi\n<user>one\n<assistant>[^]*\n<user>two\n<assistant>$/);
    const lost = await errorOf({ thread: { type: "continue", previous_message_id: "msg_1" } });
    expect(lost).toMatchObject({ status: 404, error: { code: "thread_not_found", param: "thread" } });
  });

  it("of the key is one, and x-api-key carries it", async () => {
    await test[Symbol.asyncDispose]();
    await open({ keys: [{ tenant: "acme", key: "secret" }] });
    expect((await client.messages.create(body)).type).toBe("message");
    expect(test.engine.requests[0]?.tenant).toBe("acme");
    const stranger = new Anthropic({ apiKey: "wrong", baseURL: client.baseURL, maxRetries: 0 });
    await expect(stranger.messages.create(body)).rejects.toMatchObject({
      status: 401,
      error: { error: { type: "authentication_error" } },
    });
    const { status } = await post({}, "/v1/messages", { authorization: "Bearer wrong", "x-api-key": "secret" });
    expect(status).toBe(401); // Authorization counts where both are sent
  });

  it("of a deadline, of a stopping server and of a full queue is one", async () => {
    await test[Symbol.asyncDispose]();
    await open({ stepMs: 20 });
    const late = await post({}, "/v1/messages", { "x-request-timeout-ms": "30" });
    expect([late.status, late.text]).toMatchObject([504, expect.stringContaining('"timeout_error"') as string]);
    test.engine.kill();
    const down = await post({});
    expect([down.status, down.text]).toMatchObject([503, expect.stringContaining('"overloaded_error"') as string]);
    expect(Number(down.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  const image = { type: "image", source: { type: "url", url: "https://example.org/a.png" } };
  const call = { type: "tool_use", id: "c", name: "f", input: {} };
  const result = { type: "tool_result", tool_use_id: "c", content: [image] };
  const conversation = [
    { role: "user", content: "x" },
    { role: "assistant", content: [call] },
  ];
  const says = (...content: (object | null)[]) => [{ role: "user", content }];
  it.each([
    ["an image", { messages: says(image) }, "messages.0.content.0"],
    ["an image in a result", { messages: [...conversation, ...says(result)] }, "messages.2.content.0.content.0"],
    ["a document", { messages: says({ type: "document" }) }, "messages.0.content.0"],
    ["a tool of a server", { tools: [{ type: "web_search_20250305", name: "web_search" }] }, "tools.0"],
    ["a container", { container: "c" }, "container"],
    ["MCP", { mcp_servers: [{ url: "x" }] }, "mcp_servers"],
    ["OpenAI's stop", { stop: "x" }, "stop"],
    ["OpenAI's n", { n: 2 }, "n"],
    ["OpenAI's maximum", { max_completion_tokens: 2 }, "max_completion_tokens"],
    ["an unknown adapter field", { lora_id: 2 }, "lora_id"],
  ])("names %s that is not supported", async (_, fields, param) => {
    const { status, error } = await errorOf(fields);
    expect([status, error.code, error.param]).toEqual([400, "unsupported_parameter", param]);
  });

  it.each([
    ["a block without text", { messages: says({ type: "text" }) }, "messages.0.content.0"],
    ["a role that is none", { messages: [{ role: "robot", content: "x" }] }, "messages.0.role"],
    ["a tool without a schema", { tools: [{ name: "f" }] }, "tools.0.input_schema"],
    [
      "a result of something else",
      { messages: says({ ...result, content: [null] }) },
      "messages.0.content.0.content.0",
    ],
    [
      "thoughts without text",
      { messages: [{ role: "assistant", content: [{ type: "thinking" }] }] },
      "messages.0.content.0",
    ],
    ["a choice that is none", { tool_choice: { type: "maybe" } }, "tool_choice.type"],
    ["max_tokens 0", { max_tokens: 0 }, "max_tokens"],
  ])("names %s", async (_, fields, param) => {
    const { status, error } = await errorOf(fields);
    expect([status, error.type, error.param]).toEqual([400, "invalid_request_error", param]);
    if (!("max_tokens" in fields)) expect((await errorOf(fields, "/v1/messages/count_tokens")).status).toBe(400);
  });
});
