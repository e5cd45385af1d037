/** What a store that is down, slow, damaged or at another time costs: only the requests that need it. */
import { join as joinPath } from "node:path";
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../helpers/http-app.ts";
import { hasSeaweed, startBucket, type TestBucket } from "../helpers/outside/seaweed.ts";
import { sendAlias } from "../helpers/store/sharing-servers.ts";
import { complete, metric, startServer, until } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const hash = (seed: number): string => generationOf(fittingAdapter(seed));
const HOUR = 3_600_000;

describe.skipIf(!hasSeaweed("a store that fails"))("a store that fails", () => {
  let bucket: TestBucket;
  let url: string;
  const open: TestApp[] = [];
  beforeAll(async () => void (bucket = await startBucket()));
  afterAll(async () => await bucket?.[Symbol.asyncDispose]());
  afterEach(async () => {
    vi.useRealTimers();
    bucket.fault = () => "pass";
    for (const app of open.splice(0)) await app[Symbol.asyncDispose]();
  });

  /** A server whose store has the adapters n1 to n4, of which it has used n1. */
  const start = async (options: TestAppOptions & { timeoutMs?: number } = {}): Promise<TestApp> => {
    url = bucket.newUrl();
    const writer = await createTestApp({ objects: bucket.objectsAt(url) });
    open.push(writer);
    for (const seed of [1, 2, 3, 4]) expect((await writer.put(`n${seed}`, fittingAdapter(seed))).status).toBe(201);
    const app = await createTestApp({
      objects: bucket.objectsAt(url, options.timeoutMs ?? 20_000),
      refreshMs: 0,
      ...options,
    });
    open.push(app);
    const first = await until(
      "n1",
      () => ask(app, "n1"),
      ({ status }) => status === 200,
    );
    expect(first.generation).toBe(hash(1));
    return app;
  };
  const ask = async (app: TestApp, model: string) => {
    const answer = await app.post("/v1/completions", { model, prompt: "a", max_tokens: 1 });
    const { error } = (await answer.json()) as { error?: { code: string } };
    const generation = answer.headers.get("x-mosara-adapter")?.split("@")[1];
    return { status: answer.status, code: error?.code, generation, retryAfter: answer.headers.get("retry-after") };
  };

  it.each(["refuse", "silent", "cut"] as const)(
    "serves copies on and refuses other names while it is down (%s)",
    async (fault) => {
      // Half of it is for one attempt. Only a store that is silent makes anybody wait for it.
      const app = await start({ timeoutMs: fault === "silent" ? 3000 : 20_000 });
      bucket.fault = () => fault;
      expect(await ask(app, "n1")).toMatchObject({ status: 200, generation: hash(1) });
      expect(app.lookups).toContain("stale");
      for (const name of ["n2", "n3"])
        expect(await ask(app, name)).toMatchObject({ status: 503, code: "store_unavailable", retryAfter: "1" });
      // After several faults nothing waits for the time limit any more: the store is asked by one request at a time.
      bucket.takeRequests();
      await Promise.all(Array.from({ length: 50 }, (_, i) => ask(app, i % 2 === 0 ? "n1" : "n4")));
      expect(bucket.takeRequests().length).toBeLessThan(50);
      const put = await app.put("n9", fittingAdapter(9));
      expect(put.status).toBe(503);
      bucket.fault = () => "pass";
      const found = await until(
        "the store",
        () => ask(app, "n2"),
        ({ status }) => status === 200,
      );
      expect(found.generation).toBe(hash(2));
      // It was refused, and is not there.
      expect(
        await until(
          "n9",
          () => ask(app, "n9"),
          ({ status }) => status !== 503,
        ),
      ).toMatchObject({ status: 404 });
    },
  );

  it("does not use copies that nobody could check for too long", async () => {
    const app = await start({ maxStaleMs: 0 });
    bucket.fault = () => "refuse";
    expect(await ask(app, "n1")).toMatchObject({ status: 503, code: "store_unavailable" });
  });

  it("is tried again after a fault that passes", async () => {
    const app = await start();
    const seen = new Map<string, number>();
    bucket.fault = (method, key) => {
      const times = (seen.get(key) ?? 0) + 1;
      seen.set(key, times);
      return times === 1 ? (method === "GET" ? "cut" : "refuse") : "pass";
    };
    expect(await ask(app, "n2")).toMatchObject({ status: 200, generation: hash(2) });
    expect((await app.put("n5", fittingAdapter(5))).status).toBe(201);
    expect(await ask(app, "n5")).toMatchObject({ status: 200, generation: hash(5) });
  });

  it("never gets damaged bytes served, and costs only the damaged name", async () => {
    const app = await start();
    bucket.fault = (method, key) => (method === "GET" && /n[12]$/.test(key) ? "corrupt" : "pass");
    expect(await ask(app, "n2")).toMatchObject({ status: 502, code: "store_damaged" });
    expect(await ask(app, "n1")).toMatchObject({ status: 200, generation: hash(1) }); // the copy is right
    expect(await ask(app, "n3")).toMatchObject({ status: 200, generation: hash(3) });
    // A pointer of another name, as a mistaken copy of the bucket has it.
    const objects = bucket.objectsAt(url);
    const other = await objects.get("names/default/n3", { maxBytes: 2 ** 20 });
    if (typeof other === "string") throw new Error(other);
    await objects.put("names/default/n4", other.bytes, null);
    await objects.put("names/default/n6", other.bytes.subarray(0, 100), null); // half of a pointer
    for (const name of ["n4", "n6"]) expect(await ask(app, name)).toMatchObject({ code: "store_damaged" });
    const list = (await (await app.app.request("/v1/adapters")).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(["n1", "n3"]);
    bucket.fault = () => "pass";
    expect(await ask(app, "n2")).toMatchObject({ status: 200, generation: hash(2) });
    expect((await app.put("n6", fittingAdapter(6), { "if-none-match": "*" })).status).toBe(502);
    expect((await app.put("n6", fittingAdapter(6))).status).toBe(201);
    expect(await ask(app, "n6")).toMatchObject({ status: 200, generation: hash(6) });
  });

  it("answers by adapters while the list of aliases is damaged, and by its copy of the list", async () => {
    const app = await start();
    const writer = await createTestApp({ objects: bucket.objectsAt(url) });
    open.push(writer);
    await sendAlias(writer, "PUT", "live", { targets: { n1: 1 } });
    expect(await ask(app, "live")).toMatchObject({ status: 200, generation: hash(1) });
    bucket.fault = (method, key) => (method === "GET" && key.startsWith("aliases/default") ? "corrupt" : "pass");
    await sendAlias(writer, "PUT", "other", { targets: { n1: 1 } }).then(({ code }) =>
      expect(code).toBe("store_damaged"),
    );
    bucket.fault = () => "pass";
    await sendAlias(writer, "PUT", "other", { targets: { n1: 1 } }); // the list is another one, and is read whole
    bucket.fault = (method, key) => (method === "GET" && key.startsWith("aliases/default") ? "corrupt" : "pass");
    expect(await ask(app, "n2")).toMatchObject({ status: 200, generation: hash(2) });
    expect(await ask(app, "live")).toMatchObject({ status: 200, generation: hash(1) });
    const fresh = await createTestApp({ objects: bucket.objectsAt(url) });
    open.push(fresh);
    expect(await ask(fresh, "n2")).toMatchObject({ status: 200, generation: hash(2) });
    // Without a copy, nobody knows whether it is an alias.
    for (let i = 0; i < 2; i++) expect(await ask(fresh, "live")).toMatchObject({ status: 502, code: "store_damaged" });
  });

  it("may be at a time that is an hour from this machine's", async () => {
    const app = await start();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + HOUR });
    expect(await ask(app, "n2")).toMatchObject({ status: 200, generation: hash(2) });
    expect((await app.put("n7", fittingAdapter(7))).status).toBe(201);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 2 * HOUR });
    expect(await ask(app, "n3")).toMatchObject({ status: 200, generation: hash(3) });
  });

  it("serves processes of mosara: one uploads, another answers, also while the store is away", async () => {
    const flags = ["--model", joinPath(packageRoot(), "models", "demo"), "--served-model-name", "demo"];
    const store = ["--store", bucket.newUrl(), "--store-timeout", "20", "--store-refresh", "0.2"];
    const wrong = { ...bucket.env, AWS_SECRET_ACCESS_KEY: "wrong" };
    await expect(startServer([...flags, ...store], { env: wrong })).rejects.toThrow("SignatureDoesNotMatch");
    const begin = () => startServer([...flags, ...store], { env: bucket.env });
    const [a, b] = await Promise.all([begin(), begin()]);
    await using _ = a;
    await using __ = b;
    const body = readFileSync(joinPath(packageRoot(), "adapters", "pirate.mosara"));
    const put = await fetch(`${a.url}/v1/adapters/hook`, { method: "PUT", body });
    expect(put.status).toBe(201);
    const askHook = () => complete(b.url, { model: "hook", prompt: "Hello", max_tokens: 4, temperature: 0 });
    const first = await askHook();
    expect([first.status, first.headers.get("x-mosara-adapter")]).toEqual([200, `hook@${generationOf(body)}`]);
    bucket.fault = () => "refuse";
    await until("a stale copy", async () => {
      expect((await askHook()).status).toBe(200);
      return (await metric(b.url, 'mosara_store_lookups_total{result="stale"}')) > 0;
    });
    const gone = await complete(b.url, { model: "nobody", prompt: "Hello", max_tokens: 1 });
    expect(gone.status).toBe(503);
  });
});
