/**
 * Prefixes over HTTP: what is taken over, what is never shared, what it changes (nothing), and what the metrics say.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
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
  /** Ids and log-probabilities, to the bit. */
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

async function counters(url: string): Promise<{ queries: number; hits: number }> {
  return {
    queries: await metric(url, "vllm:prefix_cache_queries_total"),
    hits: await metric(url, "vllm:prefix_cache_hits_total"),
  };
}

const serve = async (...more: string[]): Promise<TestServer> =>
  startServer(["--model", await longLlamaBase(512), "--served-model-name", "base", ...more]);

describe("a prompt that comes again", () => {
  it("is taken over, with the bits it had, counted, and said in the usage", async () => {
    await using server = await serve();
    const first = await ask(server.url);
    expect(first.cached).toBe(0);
    expect(await counters(server.url)).toEqual({ queries: TOKENS, hits: 0 });
    const second = await ask(server.url);
    expect(second).toEqual({ ...first, cached: REUSED });
    expect(await counters(server.url)).toEqual({ queries: 2 * TOKENS, hits: REUSED });
  });

  it("is not taken over with --no-prefix-cache", async () => {
    await using server = await serve("--no-prefix-cache");
    const first = await ask(server.url);
    expect(await ask(server.url)).toEqual(first);
    expect(await counters(server.url)).toEqual({ queries: 0, hits: 0 });
  });

  it("is computed where it is scored, with the same log-probabilities", async () => {
    await using server = await serve();
    const scored = { echo: true, max_tokens: 2 };
    const first = await ask(server.url, scored);
    await ask(server.url);
    expect(await ask(server.url, scored)).toEqual(first);
  });

  it("is told in streams and chats too", async () => {
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
    await using server = await serve();
    const manifest = await readManifest(await longLlamaBase(512));
    const files = [1, 2].map((seed) => adapterFile(manifest, { seed }));
    const [one, two] = files as [Uint8Array, Uint8Array];
    const adapted = { model: "mine" };
    const base = await ask(server.url);
    await putAdapter(server.url, "mine", one);
    const first = await ask(server.url, adapted);
    expect(first.cached).toBe(0);
    expect(await ask(server.url, adapted)).toEqual({ ...first, cached: REUSED });
    await putAdapter(server.url, "mine", two);
    const second = await ask(server.url, adapted);
    expect(second.cached).toBe(0);
    expect(second.answer).not.toEqual(first.answer);
    // The first one was kept as an earlier generation of the name, and what was kept of it with it.
    await putAdapter(server.url, "mine", one);
    expect(await ask(server.url, adapted)).toEqual({ ...first, cached: REUSED });
    // Nothing points to it any more; its content is the same generation again.
    await send(`${server.url}/v1/adapters/mine`, "DELETE");
    await putAdapter(server.url, "mine", one);
    expect(await ask(server.url, adapted)).toEqual(first);
    expect(await ask(server.url)).toEqual({ ...base, cached: REUSED });
  });

  it("is every name's of the same generation", async () => {
    await using server = await serve();
    const file = adapterFile(await readManifest(await longLlamaBase(512)), { seed: 3 });
    await putAdapter(server.url, "a", file);
    await putAdapter(server.url, "b", file);
    const first = await ask(server.url, { model: "a" });
    expect(await ask(server.url, { model: "b" })).toEqual({ ...first, cached: REUSED });
  });
});

it("prefills a system prompt once for many that come together", async () => {
  await using server = await serve();
  const bodies = Array.from({ length: 12 }, (_, i) => ({ prompt: [...prompt.slice(0, TOKENS - 1), 3 + i] }));
  const asked = await Promise.all(bodies.map((body) => ask(server.url, body)));
  // All but one chunk's worth of each came from somebody; how much each has is a matter of who was first.
  const { hits } = await counters(server.url);
  expect(hits).toBe(11 * REUSED);
  expect(asked.reduce((sum, { cached }) => sum + cached, 0)).toBe(hits);
});
