/**
 * `mosara serve` without a word: the shipped demo, its adapters, nothing written but ./data; and OpenAI's own client
 * against it.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { childrenOf } from "../helpers/processes.ts";
import { startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

let server: TestServer;
let dir: string;
let client: OpenAI;
/** Where a program could leave something behind. */
const folders = { HOME: "home", XDG_CACHE_HOME: "cache", TMPDIR: "tmp" };
beforeAll(async () => {
  dir = tempDir();
  const env = Object.entries(folders).map(([name, folder]) => [name, join(dir, folder)] as const);
  for (const [, path] of env) mkdirSync(path);
  mkdirSync(join(dir, "work"));
  server = await startServer([], { cwd: join(dir, "work"), env: Object.fromEntries(env) });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server[Symbol.asyncDispose]());

const messages = [{ role: "user" as const, content: "Hello, where is my order?" }];
const ask = async (model: string): Promise<string | null | undefined> => {
  const answer = await client.chat.completions.create({ model, messages, max_tokens: 24, temperature: 0 });
  return answer.choices[0]?.message.content;
};
const modelIds = async (): Promise<string[]> => {
  const ids: string[] = [];
  for await (const { id } of client.models.list()) ids.push(id);
  return ids;
};

describe("the shipped default", () => {
  it("prints its line, and a command that shows two adapters", async () => {
    expect(server.printed.stdout).toBe(`mosara listening on ${server.url}\n`);
    await until("the command", () => server.printed.stderr.endsWith("\n"));
    expect(server.printed.stderr).toMatch(/^Try two adapters[^\n]*\n.*curl -s http:\/\/\S+\/v1\/chat\/completions /);
  });

  it("answers in the base's voice and in those of its adapters, each time the same", async () => {
    const ids = await modelIds();
    expect(ids.length).toBeGreaterThanOrEqual(9);
    const answers = await Promise.all(ids.map(ask));
    // An adapter for stories leaves a question about an order as it is; the voices do not.
    const voices = ["pirate", "formal", "terse", "cheerful", "json", "tarvo"];
    const voiced = ids.flatMap((id, i) => (voices.includes(id) || id === ids[0] ? [answers[i]] : []));
    expect(new Set(voiced).size).toBe(voices.length + 1);
    for (const answer of answers) expect(answer?.trim()).not.toBe("");
    expect(await Promise.all(ids.map(ask))).toEqual(answers);
  });

  it("blends its adapters: near all weight on one gives that one's answer", async () => {
    const [pirate, formal] = [await ask("pirate"), await ask("formal")];
    const blended = async (share: number): Promise<string | null | undefined> => {
      const adapter = { blend: { pirate: share, formal: 1 - share } };
      const body = { model: (await modelIds())[0] ?? "", messages, max_tokens: 24, temperature: 0, adapter };
      return (await client.chat.completions.create(body)).choices[0]?.message.content;
    };
    expect([await blended(1), await blended(0.95), await blended(0.05)]).toEqual([pirate, pirate, formal]);
  });

  // ONNX Runtime kept a device id and a queue of reports to its maker in the cache folder.
  it("writes nothing outside ./data", () => {
    expect(readdirSync(join(dir, "work"))).toEqual(["data"]);
    for (const folder of Object.values(folders)) expect(readdirSync(join(dir, folder)), folder).toEqual([]);
  });
});

describe("OpenAI's client", () => {
  it("chats, streamed and not, with usage", async () => {
    const body = { model: (await modelIds())[1] ?? "", messages, max_tokens: 24, temperature: 0 };
    const whole = await client.chat.completions.create({ ...body, logprobs: true, top_logprobs: 2 });
    expect(whole.choices[0]?.logprobs?.content).toHaveLength(whole.usage?.completion_tokens ?? -1);
    const chunks = await client.chat.completions.create({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage;
    let numChunks = 0;
    for await (const chunk of chunks) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
      numChunks += 1;
    }
    expect([text, usage]).toEqual([whole.choices[0]?.message.content, whole.usage]);
    expect(numChunks).toBeGreaterThan(3);
    const final = await client.chat.completions.stream(body).finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe(text);
  });

  it("completes, several prompts and answers at once", async () => {
    const [base = ""] = await modelIds();
    const answer = await client.completions.create({
      model: base,
      prompt: ["Hello", "My"],
      n: 2,
      max_tokens: 5,
      seed: 7,
    });
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect((await client.models.retrieve(base)).id).toBe(base);
  });

  it("gets its own classes of errors", async () => {
    const fail = (body: object) =>
      client.chat.completions.create({ model: "nobody", messages, ...body }).catch((error: unknown) => error);
    expect(await fail({})).toBeInstanceOf(OpenAI.NotFoundError);
    expect(await fail({})).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    const [base = ""] = await modelIds();
    expect(await fail({ model: base, temperature: 9 })).toMatchObject({
      status: 400,
      code: "invalid_request",
      type: "invalid_request_error",
      param: "temperature",
    });
    expect(await fail({ model: base, max_tokens: 1e9 })).toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
    expect(await fail({ model: base, modalities: ["audio"] })).toMatchObject({
      code: "unsupported_parameter",
    });
  });

  it("hears of an engine that dies, as an error of its own", async () => {
    const [base = ""] = await modelIds();
    const chunks = await client.completions.create({
      model: base,
      prompt: Array.from({ length: 100 }, () => "Hello"),
      max_tokens: 100,
      stream: true,
      ignore_eos: true,
    } as OpenAI.CompletionCreateParamsStreaming);
    const read = async (): Promise<void> => {
      let isKilled = false;
      for await (const chunk of chunks) {
        if (isKilled || chunk.choices.length === 0) continue;
        process.kill(childrenOf(server.pid)[0] ?? 0, "SIGKILL");
        isKilled = true;
      }
    };
    await expect(read()).rejects.toThrow(/engine process/i);
    await until("ready again", async () => (await fetch(`${server.url}/readyz`)).status === 200);
    expect(await ask(base)).not.toBe("");
  });
});
