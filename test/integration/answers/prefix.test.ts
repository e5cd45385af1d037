/**
 * Prefixes over HTTP: what is reused, what is never shared, what it changes (nothing), and what the metrics say.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readManifest } from "../../../src/base/manifest.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import { complete, metric, putAdapter, send, startServer, type TestServer } from "../../helpers/server.ts";

const TOKENS = 200;
const REUSED = 192;
const prompt = Array.from({ length: TOKENS }, (_, i) => 3 + ((i * 31) % 300));

interface Usage {
  readonly prompt_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens: number };
}

interface Asked {
  readonly cached: number;
  /** Ids and log-probabilities, bit for bit. */
  readonly answer: unknown;
}

const withKey = (key: string): RequestInit => ({ headers: { authorization: `Bearer ${key}` } });

async function ask(url: string, more: object = {}, init: RequestInit = {}): Promise<Asked> {
  const body = { model: "base", prompt, max_tokens: 6, logprobs: 3, ...more };
  const { status, json, text } = await complete(url, body, init);
  expect(status, text).toBe(200);
  const usage: Usage = json.usage;
  expect(usage.prompt_tokens).toBe(TOKENS);
  return {
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    answer: json.choices.map(({ token_ids: ids, logprobs }) => [ids, logprobs]),
  };
}

interface Counters {
  readonly queries: number;
  readonly hits: number;
}

async function counters(url: string): Promise<Counters> {
  return {
    queries: await metric(url, "vllm:prefix_cache_queries_total"),
    hits: await metric(url, "vllm:prefix_cache_hits_total"),
  };
}

/** What the counters have counted since `before`. */
async function countedSince(before: Counters, url: string): Promise<Counters> {
  const now = await counters(url);
  return { queries: now.queries - before.queries, hits: now.hits - before.hits };
}

const serve = async (...more: string[]): Promise<TestServer> =>
  startServer(["--model", await longLlamaBase(512), "--served-model-name", "base", ...more]);

/** One server for the tests that need no flags. Each asks with a prompt of its own, which nobody has asked before. */
let shared: TestServer;
beforeAll(async () => {
  shared = await serve();
});
afterAll(() => shared[Symbol.asyncDispose]());

let numPrompts = 0;
/** A prompt that begins with a token of its own, so that it has no prefix in common with another. */
const freshPrompt = (): number[] => [10 + numPrompts++, ...prompt.slice(1)];

describe("a prompt that comes again", () => {
  it("is reused, with the bits it had, counted, and reported in the usage", async () => {
    const { url } = shared;
    const before = await counters(url);
    const own = { prompt: freshPrompt() };
    const first = await ask(url, own);
    expect(first.cached).toBe(0);
    expect(await countedSince(before, url)).toEqual({ queries: TOKENS, hits: 0 });
    const second = await ask(url, own);
    expect(second).toEqual({ ...first, cached: REUSED });
    expect(await countedSince(before, url)).toEqual({ queries: 2 * TOKENS, hits: REUSED });
  });

  it("is not reused with --no-prefix-cache", async () => {
    await using server = await serve("--no-prefix-cache");
    const first = await ask(server.url);
    expect(await ask(server.url)).toEqual(first);
    expect(await counters(server.url)).toEqual({ queries: 0, hits: 0 });
  });

  it("is computed where it is scored, with the same log-probabilities", async () => {
    const own = { prompt: freshPrompt() };
    const scored = { ...own, echo: true, max_tokens: 2 };
    const first = await ask(shared.url, scored);
    await ask(shared.url, own);
    expect(await ask(shared.url, scored)).toEqual(first);
  });

  it("is reported in streams and chats too", async () => {
    const demo = join(packageRoot(), "models", "demo");
    await using server = await startServer(["--model", demo, "--served-model-name", "base"]);
    const messages = [{ role: "user", content: "word ".repeat(90) }];
    const cachedIn = async (path: string, body: object): Promise<number> => {
      const options = { model: "base", max_tokens: 2, stream: true, stream_options: { include_usage: true } };
      const { status, text } = await send(`${server.url}${path}`, "POST", { ...options, ...body });
      expect(status, text).toBe(200);
      return Number(/"cached_tokens":(\d+)/.exec(text)?.[1] ?? 0);
    };
    expect(await cachedIn("/v1/completions", { prompt: prompt.slice(0, 100) })).toBe(0);
    expect(await cachedIn("/v1/completions", { prompt: prompt.slice(0, 100) })).toBe(64);
    expect(await cachedIn("/v1/chat/completions", { messages })).toBe(0);
    expect(await cachedIn("/v1/chat/completions", { messages })).toBeGreaterThanOrEqual(64);
  });
});

describe("whose a prefix is", () => {
  it("is never another tenant's, by content and by counters", async () => {
    const keys = ["red=r", "blue=b", "k"].flatMap((key) => ["--api-key", key]);
    await using server = await serve(...keys);
    const metrics = async (): Promise<number> => {
      const { text } = await send(`${server.url}/metrics`, "GET", undefined, withKey("k"));
      return Number(/^vllm:prefix_cache_hits_total\S* (\d+)/m.exec(text)?.[1]);
    };
    const first = await ask(server.url, {}, withKey("r"));
    for (const key of ["b", "k"]) expect(await ask(server.url, {}, withKey(key))).toEqual(first);
    expect(await metrics()).toBe(0);
    for (const key of ["r", "b", "k"])
      expect(await ask(server.url, {}, withKey(key))).toEqual({ ...first, cached: REUSED });
    expect(await metrics()).toBe(3 * REUSED);
  });

  it("is never another generation's: not the base's, not what the name pointed to before, not after it went and came back", async () => {
    const { url } = shared;
    const manifest = await readManifest(await longLlamaBase(512));
    const files = [1, 2].map((seed) => adapterFile(manifest, { seed }));
    const [one, two] = files as [Uint8Array, Uint8Array];
    const own = { prompt: freshPrompt() };
    const adapted = { ...own, model: "mine" };
    const base = await ask(url, own);
    await putAdapter(url, "mine", one);
    const first = await ask(url, adapted);
    expect(first.cached).toBe(0);
    expect(await ask(url, adapted)).toEqual({ ...first, cached: REUSED });
    await putAdapter(url, "mine", two);
    const second = await ask(url, adapted);
    expect(second.cached).toBe(0);
    expect(second.answer).not.toEqual(first.answer);
    // The first one was kept as an earlier generation of the name, and what was kept of it with it.
    await putAdapter(url, "mine", one);
    expect(await ask(url, adapted)).toEqual({ ...first, cached: REUSED });
    // Nothing points to it any more; its content is the same generation again.
    expect((await send(`${url}/v1/adapters/mine`, "DELETE")).status).toBe(200);
    await putAdapter(url, "mine", one);
    expect(await ask(url, adapted)).toEqual(first);
    expect(await ask(url, own)).toEqual({ ...base, cached: REUSED });
  });

  it("is every name's of the same generation", async () => {
    const file = adapterFile(await readManifest(await longLlamaBase(512)), { seed: 3 });
    await putAdapter(shared.url, "a", file);
    await putAdapter(shared.url, "b", file);
    const own = { prompt: freshPrompt() };
    const first = await ask(shared.url, { ...own, model: "a" });
    expect(await ask(shared.url, { ...own, model: "b" })).toEqual({ ...first, cached: REUSED });
  });
});

it("prefills a system prompt once for many that come together", async () => {
  const { url } = shared;
  const before = await counters(url);
  const system = freshPrompt().slice(0, -1);
  const bodies = Array.from({ length: 12 }, (_, i) => ({ prompt: [...system, 3 + i] }));
  const asked = await Promise.all(bodies.map((body) => ask(url, body)));
  // All but one chunk's worth of each came from somebody; how much each has is a matter of who was first.
  const { hits } = await countedSince(before, url);
  expect(hits).toBe(11 * REUSED);
  expect(asked.reduce((sum, { cached }) => sum + cached, 0)).toBe(hits);
});
