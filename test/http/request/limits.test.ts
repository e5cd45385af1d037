/** Limits of tenants and keys, over the whole application. Minutes are not waited for: nothing here depends on time. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import type { KeyEntry, KeysFile } from "../../../src/keys/keys-file.ts";
import type { Limits } from "../../../src/keys/limits.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../../helpers/http-app.ts";

let test: TestApp;
afterEach(async () => await test[Symbol.asyncDispose]());

const entry = (id: string, tenant: string, limits?: Limits): KeyEntry => ({
  id,
  sha256: createHash("sha256").update(id).digest("hex"),
  tenant,
  scopes: ["use", "write", "metrics"],
  ...(limits ? { limits } : {}),
});
async function open(keys: KeyEntry[], tenants: KeysFile["tenants"] = {}, options: TestAppOptions = {}): Promise<void> {
  test = await createTestApp(options);
  test.context.keys.setFile({ version: 1, keys, tenants });
}
const as = (key: string) => ({ authorization: `Bearer ${key}` });
const ask = (key: string, body: object = {}, signal?: AbortSignal) =>
  test.post(
    "/v1/completions",
    { model: "base", prompt: "four", max_tokens: 6, ignore_eos: true, seed: 1, ...body },
    as(key),
    signal,
  );
const statusesOf = async (answers: Promise<Response>[]) => (await Promise.all(answers)).map(({ status }) => status);
const limitHeaders = ({ headers }: Response, kind: string) =>
  ["limit", "remaining"].map((name) => headers.get(`x-ratelimit-${name}-${kind}`));

describe("requests a minute", () => {
  it("are counted for each key and for its tenant, and the next one gets 429 with the time to wait", async () => {
    await open([entry("a", "acme", { requestsPerMinute: 3 }), entry("b", "acme"), entry("c", "globex")], {
      acme: { limits: { requestsPerMinute: 5 } },
    });
    const first = await ask("a");
    expect([first.status, limitHeaders(first, "requests")]).toEqual([200, ["3", "2"]]);
    expect(first.headers.get("x-ratelimit-reset-requests")).toMatch(/^(60|5\d)s$/);
    expect(await statusesOf([ask("a"), ask("a"), ask("a")])).toEqual([200, 200, 429]);
    const refused = await ask("a");
    expect(await refused.json()).toMatchObject({ error: { code: "rate_limit_exceeded", type: "rate_limit_error" } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(50);
    expect(limitHeaders(refused, "requests")).toEqual(["3", "0"]);
    // The refusals of the key "a" are not counted against its tenant.
    expect(await statusesOf([ask("b"), ask("b"), ask("b")])).toEqual([200, 200, 429]);
    const free = await ask("c");
    expect([free.status, free.headers.get("x-ratelimit-limit-requests")]).toEqual([200, null]);
  });
});

describe("tokens a minute", () => {
  it("are charged at most before, and as used afterwards", async () => {
    await open([entry("a", "acme", { tokensPerMinute: 100 })]);
    // 4 tokens of the prompt and 6 of the answer.
    expect(limitHeaders(await ask("a"), "tokens")).toEqual(["100", "90"]);
    const [first = ""] = ((await (await ask("a")).json()) as { choices: { text: string }[] }).choices[0]?.text ?? "";
    // Up to 44 tokens. The stop string ends the answer at its first one.
    const stopped = await ask("a", { max_tokens: 40, stop: first });
    expect(limitHeaders(stopped, "tokens")).toEqual(["100", "36"]);
    expect(await stopped.json()).toMatchObject({ usage: { total_tokens: 5 } });
    expect(limitHeaders(await ask("a", { max_tokens: 1 }), "tokens")).toEqual(["100", "70"]); // 80 − 5 − 5
    // A request that needs more than is left is refused and costs nothing.
    expect((await ask("a", { max_tokens: 67 })).status).toBe(429);
    expect(limitHeaders(await ask("a", { max_tokens: 66 }), "tokens")).toEqual(["100", "0"]);
  });

  it("give back everything for a request that never got a row, and what a client that left did not use", async () => {
    await open([entry("a", "acme", { tokensPerMinute: 100 })], {}, { stepMs: 5 });
    expect((await ask("a", { model: "none" })).status).toBe(404);
    expect((await ask("a", { min_tokens: 99 })).status).toBe(400);
    const gone = new AbortController();
    const answer = await ask("a", { max_tokens: 90, stream: true }, gone.signal);
    const reader = answer.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    gone.abort();
    await expect.poll(() => test.context.inFlight.count).toBe(0);
    expect((await ask("a", { max_tokens: 60 })).status).toBe(200);
  });

  it("count for embeddings and the other APIs too", async () => {
    await open([entry("a", "acme", { tokensPerMinute: 20 })]);
    expect(
      limitHeaders(await test.post("/v1/embeddings", { model: "base", input: "four" }, as("a")), "tokens"),
    ).toEqual(["20", "16"]);
    const message = { model: "base", max_tokens: 20, messages: [{ role: "user", content: "hi" }] };
    const refused = await test.post("/v1/messages", { ...message, max_tokens: 19 }, as("a"));
    expect([refused.status, await refused.json()]).toMatchObject([429, { error: { type: "rate_limit_error" } }]);
    expect((await test.post("/v1/responses", { model: "base", input: "hi" }, as("a"))).status).toBe(429);
  });

  it("let a request through that may need more than the whole limit, when nothing else was used", async () => {
    await open([entry("a", "acme", { tokensPerMinute: 10 })]);
    expect(await statusesOf([ask("a", { max_tokens: 20 })])).toEqual([200]);
    expect((await ask("a")).status).toBe(429);
  });
});

describe("requests at the same time", () => {
  it("are counted until they end, streams too", async () => {
    await open([entry("a", "acme", { concurrent: 2 })], {}, { stepMs: 5 });
    const running = [ask("a", { max_tokens: 40 }), ask("a", { max_tokens: 40, stream: true })];
    const stream = await running[1];
    expect((await ask("a")).status).toBe(429);
    await stream?.text();
    await running[0];
    expect(await statusesOf([ask("a"), ask("a")])).toEqual([200, 200]);
  });
});

describe("adapters and bytes", () => {
  it("are bounded for a tenant's own, and a refused upload changes nothing", async () => {
    const bytes = fittingAdapter(1).length;
    await open([entry("a", "acme", { adapters: 2 }), entry("b", "globex", { bytes: 2 * bytes })]);
    await test.store.namesOf(SHARED).put("common", fittingAdapter(1));
    for (const key of ["a", "b"]) {
      expect((await test.put("one", fittingAdapter(1), as(key))).status).toBe(201);
      expect((await test.put("two", fittingAdapter(2), as(key))).status).toBe(201);
      const refused = await test.put("three", fittingAdapter(3), as(key));
      expect([refused.status, await refused.json()]).toMatchObject([403, { error: { code: "quota_exceeded" } }]);
      expect((await test.put("two", fittingAdapter(4), as(key))).status).toBe(200);
      expect((await test.app.request("/v1/adapters/three", { headers: as(key) })).status).toBe(404);
    }
    await test.app.request("/v1/adapters/one", { method: "DELETE", headers: as("a") });
    expect((await test.put("three", fittingAdapter(3), as("a"))).status).toBe(201);
    // Two at the same time do not both take the last place.
    await test.app.request("/v1/adapters/three", { method: "DELETE", headers: as("a") });
    const both = await statusesOf([
      test.put("x", fittingAdapter(5), as("a")),
      test.put("y", fittingAdapter(6), as("a")),
    ]);
    expect(both.toSorted((a, b) => a - b)).toEqual([201, 403]);
  });
});

describe("usage", () => {
  it("is kept by tenant, day and adapter, over a restart of the store, and a tenant sees only its own", async () => {
    await open([entry("a", "acme"), entry("b", "globex"), { ...entry("boss", "acme"), scopes: ["metrics", "admin"] }]);
    await test.put("mine", fittingAdapter(1), as("a"));
    await ask("a");
    await ask("a", { n: 2, prompt: ["four", "fives"] });
    await ask("a", { model: "mine" });
    await ask("b");
    const usageOf = async (key: string, query = "") => {
      const answer = await test.app.request(`/v1/usage${query}`, { headers: as(key) });
      return { status: answer.status, ...((await answer.json()) as { data?: object[] }) };
    };
    const day = new Date().toISOString().slice(0, 10);
    const row = (tenant: string, adapter: string | null, requests: number, prompt: number, generation: number) => ({
      object: "usage",
      tenant,
      day,
      adapter,
      owner: adapter === null ? null : tenant,
      requests,
      prompt_tokens: prompt,
      generation_tokens: generation,
    });
    const own = [row("acme", null, 2, 4 + 9, 6 + 4 * 6), row("acme", "mine", 1, 4, 6)];
    expect((await usageOf("a")).data).toEqual(own);
    expect((await usageOf("boss")).data).toEqual([...own, row("globex", null, 1, 4, 6)]);
    expect((await usageOf("boss", "?tenant=globex")).data).toHaveLength(1);
    expect((await usageOf("a", "?tenant=globex")).status).toBe(403);
    expect((await usageOf("a", "?to=2020-01-01")).data).toEqual([]);
    expect((await usageOf("a", `?from=${day}&to=${day}`)).data).toEqual(own);
    expect((await usageOf("a", "?from=today")).status).toBe(400);
    const metrics = await (await test.app.request("/metrics", { headers: as("b") })).text();
    expect(metrics).toContain('mosara_tenant_tokens_total{tenant="globex",kind="generation"} 6');
    expect(metrics).not.toContain("acme");
  });
});
