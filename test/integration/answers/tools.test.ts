/**
 * Tools and reasoning over HTTP, with the official client: forced calls, their stream, the tool's result sent back,
 * refusals.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { casesIn, fixturesDir, modelCases } from "../../helpers/fixtures.ts";
import { complete, mosara, startServer, tempDir, type TestServer } from "../../helpers/server.ts";

const TOKENIZERS = join(fixturesDir("text"), "tokenizers");
const TEMPLATE = join(fixturesDir("text"), "chat-templates", "tool-use", "template.jinja");
const work = tempDir();
const base = join(work, "base");
let server: TestServer;
let client: OpenAI;

const parameters = {
  type: "object",
  properties: { place: { enum: ["Köln", "Paris"] }, days: { type: "integer", minimum: 0, maximum: 9 } },
  required: ["place", "days"],
  additionalProperties: false,
};
const tools = ["weather", "time_of"].map((name) => ({ type: "function" as const, function: { name, parameters } }));
const messages = [{ role: "user" as const, content: "What is the weather?" }];
/** A random model would reason, and call, without end. */
const shared = {
  model: "base",
  messages,
  tools,
  max_tokens: 200,
  parallel_tool_calls: false,
  temperature: 1,
  seed: 5,
  chat_template_kwargs: { enable_thinking: false },
};

beforeAll(async () => {
  const golden = modelCases().find(({ name }) => name === "llama") ?? modelCases()[0];
  if (!golden) throw new Error("no golden model");
  const texts = join(work, "texts");
  cpSync(join(TOKENIZERS, casesIn(TOKENIZERS, "cases.json")[0] ?? ""), texts, { recursive: true });
  rmSync(join(texts, "cases.json"), { force: true });
  const raw = JSON.parse(readFileSync(join(golden.dir, "config.json"), "utf8")) as object;
  const config = join(work, "config.json");
  const sizes = { vocab_size: 1300, max_position_embeddings: 2048, bos_token_id: null, eos_token_id: null };
  writeFileSync(config, JSON.stringify({ ...raw, ...sizes }));
  const checkpoint = join(work, "checkpoint");
  for (const args of [
    ["init", "--config", config, "--tokenizer", texts, "--out", checkpoint],
    ["build", checkpoint, "--out", base, "--weights", "float32"],
  ]) {
    const { code, stderr } = await mosara(...args);
    expect({ code, stderr }).toMatchObject({ code: 0 });
  }
  server = await startServer(["--model", base, "--chat-template", TEMPLATE]);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => await server[Symbol.asyncDispose]());

const isRight = (text: string): boolean => {
  const { place, days, ...others } = JSON.parse(text) as Record<string, unknown>;
  return ["Köln", "Paris"].includes(String(place)) && Number.isInteger(days) && Object.keys(others).length === 0;
};

describe("a forced call", () => {
  it("is one of the tools with arguments of its schema, at any temperature", async () => {
    for (const seed of [1, 2, 3, 4]) {
      const { choices, usage } = await client.chat.completions.create({ ...shared, seed, tool_choice: "required" });
      const { message, finish_reason: reason } = choices[0]!; // one choice
      expect(reason).toBe("tool_calls");
      expect(message.content).toBeNull();
      for (const call of message.tool_calls ?? []) {
        if (call.type !== "function") throw new Error(call.type);
        expect(["weather", "time_of"]).toContain(call.function.name);
        expect(isRight(call.function.arguments)).toBe(true);
      }
      expect(message.tool_calls?.length).toBeGreaterThan(0);
      expect(usage?.completion_tokens).toBeGreaterThan(10);
    }
  });

  it("is the named one, and streamed it is the same", async () => {
    const body = { ...shared, tool_choice: { type: "function" as const, function: { name: "time_of" } } };
    const { choices } = await client.chat.completions.create(body);
    const calls = choices[0]?.message.tool_calls ?? [];
    expect(calls).toMatchObject([{ type: "function", function: { name: "time_of" } }]);
    const deltas = [];
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
      deltas.push(...(chunk.choices[0]?.delta.tool_calls ?? []));
    expect(deltas[0]).toMatchObject({ index: 0, type: "function", function: { name: "time_of", arguments: "" } });
    expect(deltas.length).toBeGreaterThan(3);
    const call = calls[0];
    if (call?.type !== "function") throw new Error("no call");
    expect(deltas.map((delta) => delta.function?.arguments ?? "").join("")).toBe(call.function.arguments);
  });

  it("is one where calls are not parallel", async () => {
    const { choices } = await client.chat.completions.create({ ...shared, tool_choice: "required" });
    expect(choices[0]?.message.tool_calls).toHaveLength(1);
    const { choices: many } = await client.chat.completions.create({
      ...shared,
      tool_choice: "required",
      parallel_tool_calls: true,
    });
    expect(many[0]?.message.tool_calls?.length).toBeGreaterThan(1);
  });

  it("and its result go back into the conversation", async () => {
    const first = await client.chat.completions.create({ ...shared, tool_choice: "required" });
    const { message } = first.choices[0]!; // one choice
    const results = (message.tool_calls ?? []).map(({ id }) => ({
      role: "tool" as const,
      tool_call_id: id,
      content: "rain",
    }));
    const next = await client.chat.completions.create({
      ...shared,
      messages: [...messages, message, ...results],
      max_tokens: 4,
    });
    expect(next.usage?.prompt_tokens).toBeGreaterThan(first.usage?.prompt_tokens ?? Infinity);
  });
});

describe("a choice of tools", () => {
  it("that is none shows no tools and answers text", async () => {
    const { tools: _, ...withoutTools } = shared;
    const [none, without] = await Promise.all([
      client.chat.completions.create({ ...shared, tool_choice: "none", max_tokens: 8 }),
      client.chat.completions.create({ ...withoutTools, max_tokens: 8 }),
    ]);
    expect(none.choices[0]?.message.content).toBe(without.choices[0]?.message.content);
    expect(none.usage?.prompt_tokens).toBe(without.usage?.prompt_tokens);
  });

  it("binds strict tools where the model calls them, also in a format without marks", async () => {
    await using llama = await startServer([
      "--model",
      base,
      "--chat-template",
      TEMPLATE,
      "--tool-call-parser",
      "llama3_json",
    ]);
    const other = new OpenAI({ baseURL: `${llama.url}/v1`, apiKey: "none", maxRetries: 0 });
    const strict = tools.map(({ type, function: f }) => ({ type, function: { ...f, strict: true } }));
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { choices } = await other.chat.completions.create({ ...shared, tools: strict, seed, max_tokens: 60 });
      const { message } = choices[0]!; // one choice
      expect(message.content ?? "").not.toMatch(/^[{\s]/);
      for (const call of message.tool_calls ?? [])
        if (call.type === "function") expect(isRight(call.function.arguments)).toBe(true);
    }
    const forced = await other.chat.completions.create({ ...shared, tools: strict, tool_choice: "required" });
    expect(forced.choices[0]?.finish_reason).toBe("tool_calls");
  });

  it("leaves an automatic answer free, or bound where another field binds it", async () => {
    const free = await client.chat.completions.create({ ...shared, max_tokens: 8 });
    expect(typeof free.choices[0]?.message.content).toBe("string");
    const schema = {
      type: "object",
      properties: { ok: { type: "boolean" } },
      required: ["ok"],
      additionalProperties: false,
    };
    const bound = await client.chat.completions.create({
      ...shared,
      response_format: { type: "json_schema", json_schema: { name: "answer", schema, strict: true } },
    });
    const { message, finish_reason: reason } = bound.choices[0]!; // one choice
    if (reason === "tool_calls") expect(message.tool_calls?.length).toBeGreaterThan(0);
    else expect(Object.keys(JSON.parse(message.content ?? "") as object)).toEqual(["ok"]);
  });

  it.each([
    [
      "a tool that is not there",
      { tool_choice: { type: "function" as const, function: { name: "nothing" } } },
      "tool_choice",
    ],
    [
      "a bad schema",
      {
        tools: [{ type: "function" as const, function: { name: "f", parameters: { type: "strin" } } }],
        tool_choice: "required" as const,
      },
      "tools",
    ],
    [
      "two things that bind",
      { tool_choice: "required" as const, response_format: { type: "json_object" as const } },
      "tool_choice",
    ],
  ])("is refused with the field's name: %s", async (_, fields, param) => {
    const asked = client.chat.completions.create({ ...shared, ...fields });
    await expect(asked).rejects.toMatchObject({ status: 400, param });
  });

  it("is in the prompt of a model whose calls have no known format, and forces nothing there", async () => {
    const counting = join(work, "counting.jinja");
    writeFileSync(counting, "{{ tools | length }} TOOLS:{{ messages[0].content }}");
    await using plain = await startServer(["--model", base, "--chat-template", counting]);
    expect(plain.printed.stderr).toContain("--tool-call-parser");
    const other = new OpenAI({ baseURL: `${plain.url}/v1`, apiKey: "none", maxRetries: 0 });
    const asked = { ...shared, max_tokens: 4, return_token_ids: true };
    const [choice] = (await other.chat.completions.create(asked)).choices;
    expect(choice?.message.tool_calls).toBeUndefined();
    const { prompt_token_ids: prompt } = choice as unknown as { prompt_token_ids: number[] };
    const { json } = await complete(plain.url, { model: "base", prompt, echo: true, max_tokens: 0 });
    expect(json.choices[0]?.text).toMatch(/^\d TOOLS:/);
    const forced = other.chat.completions.create({ ...shared, tool_choice: "required" });
    await expect(forced).rejects.toMatchObject({ status: 400, param: "tools" });
  });

  it("is refused by a model whose template shows no tools, which names the way out", async () => {
    await using plain = await startServer([
      "--model",
      base,
      "--chat-template",
      join(TEMPLATE, "..", "..", "chatml", "template.jinja"),
    ]);
    const other = new OpenAI({ baseURL: `${plain.url}/v1`, apiKey: "none", maxRetries: 0 });
    const asked = other.chat.completions.create({ ...shared, tool_choice: "auto" });
    await expect(asked).rejects.toMatchObject({
      status: 400,
      param: "tools",
      message: expect.stringContaining("--chat-template") as string,
    });
  });
});

it("a template that is none is refused at the start", async () => {
  const bad = join(work, "bad.jinja");
  writeFileSync(bad, "{% for m in %}");
  const { code, stderr } = await mosara("serve", "--model", base, "--chat-template", bad, "--data", tempDir());
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/^mosara: --chat-template \S+bad\.jinja cannot be used: [^\n]+\n$/) as string,
  });
});
