/**
 * Servers that share a store: a bucket of SeaweedFS, or a directory. Each has a store of its own for copies, and
 * answers over its own routes.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import type { ObjectStore } from "../../src/object-store/object-store.ts";
import { openObjects } from "../../src/object-store/open-objects.ts";
import { RequestPolicy } from "../../src/object-store/request-policy.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";
import { fittingAdapter, type TestApp, type TestAppOptions } from "../helpers/http-app.ts";
import { hasSeaweed, startBucket, type TestBucket } from "../helpers/outside/seaweed.ts";
import { tempDir, until } from "../helpers/server.ts";
import {
  ask,
  type ErrorAnswer,
  generation,
  hash,
  names,
  sendAlias,
  SharingServers,
} from "../helpers/store/sharing-servers.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** Too large to be in its pointer. */
const largeAdapter = (): Uint8Array => encodeAdapter(madeUpAdapter({ method: "lora", k: 20_000 }));
const hasBucket = hasSeaweed("servers that share a bucket");

let bucket: TestBucket;
const servers = new SharingServers();
beforeAll(async () => {
  if (hasBucket) bucket = await startBucket();
});
afterAll(async () => await bucket?.[Symbol.asyncDispose]());
afterEach(async () => {
  if (hasBucket) bucket.fault = () => "pass";
  await servers[Symbol.asyncDispose]();
});

const KINDS = [
  ...(hasBucket
    ? [{ kind: "bucket", newUrl: () => bucket.newUrl(), open: (url: string) => bucket.objectsAt(url) }]
    : []),
  {
    kind: "directory",
    newUrl: () => tempDir(),
    open: (url: string) => openObjects(url, new RequestPolicy(url, { timeoutMs: 30_000 })),
  },
];

describe.each(KINDS)("servers that share a $kind", ({ newUrl, open }) => {
  let store: () => ObjectStore;
  const pair = async (options: TestAppOptions = {}): Promise<[TestApp, TestApp]> => {
    const url = newUrl();
    store = () => open(url);
    return [await servers.join(store(), options), await servers.join(store(), options)];
  };

  it("let one of many writers with the same precondition win", async () => {
    const [a, b] = await pair();
    const both = (seed: number) => (seed % 2 === 0 ? a : b);
    const create = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((seed) => both(seed).put("one", fittingAdapter(seed), { "if-none-match": "*" })),
    );
    expect(create.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([201, 412, 412, 412, 412, 412]);
    const etag = (await a.app.request("/v1/adapters/one")).headers.get("etag") ?? "";
    const replace = await Promise.all(
      [11, 12, 13, 14, 15, 16].map((seed) => both(seed).put("one", fittingAdapter(seed), { "if-match": etag })),
    );
    expect(replace.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([200, 412, 412, 412, 412, 412]);
    const won = replace.find(({ status }) => status === 200)?.headers.get("etag");
    const removed = await Promise.all(
      [a, b].map(
        async ({ app }) =>
          await app.request("/v1/adapters/one", { method: "DELETE", headers: { "if-match": won ?? "" } }),
      ),
    );
    expect(removed.map(({ status }) => status)).toContain(200);
    expect(await generation(await servers.join(store()), "one")).toBeUndefined();
  });

  it("see every change of another server within --store-refresh", async () => {
    const refreshMs = 400;
    const [a, b] = await pair({ refreshMs });
    await a.put("now", fittingAdapter(1));
    expect(await generation(b, "now")).toBe(hash(1));
    for (const change of [
      () => a.put("now", fittingAdapter(2)),
      () => a.app.request("/v1/adapters/now", { method: "DELETE" }),
    ]) {
      const before = await generation(b, "now");
      expect((await change()).ok).toBe(true);
      const doneAt = performance.now();
      const late: (string | undefined)[] = [];
      while (late.length < 20) {
        const startedAt = performance.now();
        const found = await generation(b, "now");
        if (startedAt - doneAt > refreshMs) late.push(found);
      }
      expect(late).not.toContain(before);
    }
    expect(await generation(b, "now")).toBeUndefined();
    expect(await names(b)).toEqual([]);
  });

  it("know the same earlier generations, and roll back for all", async () => {
    const [a, b] = await pair({ refreshMs: 0 });
    for (const seed of [1, 2, 3, 4]) await a.put("old", fittingAdapter(seed));
    expect(await ask(b, "old")).toMatchObject({ adapter: `old@${hash(4)}` }); // it has the current one alone
    expect(await ask(b, "old@-2")).toMatchObject({ status: 200, adapter: `old@${hash(2)}` });
    expect(await ask(b, `old@${hash(3).slice(0, 12)}`)).toMatchObject({ adapter: `old@${hash(3)}` });
    expect((await ask(b, `old@${hash(1).slice(0, 12)}`)).status).toBe(404);
    const back = await b.post("/v1/adapters/old/rollback", { to: "-1" }, { "if-match": `"${hash(4)}"` });
    expect([back.status, await generation(a, "old"), (await ask(a, "old@-1")).adapter]).toEqual([
      200,
      hash(3),
      `old@${hash(4)}`,
    ]);
    expect((await b.app.request(`/v1/adapters/old@${hash(4)}`, { method: "DELETE" })).status).toBe(200);
    const versions = (await (await a.app.request("/v1/adapters/old/versions")).json()) as {
      data: { generation: string }[];
    };
    expect(versions.data.map((one) => one.generation)).toEqual([hash(3), hash(2)]);
  });

  it("list what is in the store, and keep tenants apart", async () => {
    const keys = ["acme", "zeta"].map((tenant) => ({ tenant, key: `${tenant}-key` }));
    const [a, b] = await pair({ keys, refreshMs: 0 });
    const as = (tenant: string) => ({ authorization: `Bearer ${tenant}-key` });
    for (const seed of [1, 2, 3]) await a.put(`n${seed}`, fittingAdapter(seed), as("acme"));
    await a.put("n2", fittingAdapter(7), as("zeta"));
    const listed = async (tenant: string, query = "") => {
      const answer = (await (await b.app.request(`/v1/adapters${query}`, { headers: as(tenant) })).json()) as {
        data: { id: string; generation: string }[];
      };
      return answer.data.map(({ id, generation: found }) => `${id} ${found}`);
    };
    expect(await listed("acme")).toEqual([1, 2, 3].map((seed) => `n${seed} ${hash(seed)}`));
    expect(await listed("acme", "?limit=1&after=n1")).toEqual([`n2 ${hash(2)}`]);
    expect(await listed("zeta")).toEqual([`n2 ${hash(7)}`]);
    await a.app.request("/v1/adapters/n2", { method: "DELETE", headers: as("acme") });
    expect(await listed("acme")).toEqual([1, 3].map((seed) => `n${seed} ${hash(seed)}`));
  });

  it("change an alias for all, and let one of many writers with the same precondition win", async () => {
    const [a, b] = await pair({ refreshMs: 0 });
    await a.put("one", fittingAdapter(1));
    await a.put("two", fittingAdapter(2));
    const create = await Promise.all(
      [a, b, a, b].map((app) => sendAlias(app, "PUT", "live", { targets: { one: 1 } }, { "if-none-match": "*" })),
    );
    expect(create.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([201, 412, 412, 412]);
    const fresh = await servers.join(store());
    expect(await ask(fresh, "live")).toMatchObject({ status: 200, adapter: `one@${hash(1)}` });
    const { etag } = create.find(({ status }) => status === 201) ?? { etag: "" };
    const promote = await Promise.all(
      [a, b, a, b].map((app) => sendAlias(app, "POST", "live/promote", { target: "two" }, { "if-match": etag })),
    );
    expect(promote.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([200, 412, 412, 412]);
    expect(await ask(a, "live")).toMatchObject({ adapter: `two@${hash(2)}` });
    expect((await sendAlias(b, "POST", "live/rollback", {})).status).toBe(200);
    expect(await ask(a, "live")).toMatchObject({ adapter: `one@${hash(1)}` });
    // Changes of different aliases at the same time are changes of one object, and all of them last.
    const others = await Promise.all(
      [a, b, a, b].map((app, i) => sendAlias(app, "PUT", `other-${i}`, { targets: { one: 1, two: i } })),
    );
    expect(others.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
    const list = await sendAlias(fresh, "GET", "live");
    expect(list).toMatchObject({ status: 200, etag: (await sendAlias(a, "GET", "live")).etag });
    const all = (await (await b.app.request("/v1/aliases")).json()) as { data: { id: string }[] };
    expect(all.data.map(({ id }) => id)).toEqual(["live", "other-0", "other-1", "other-2", "other-3"]);
    expect((await sendAlias(b, "DELETE", "live")).status).toBe(200);
    expect((await ask(a, "live")).status).toBe(404);
  });

  it("see a change of an alias within --store-refresh", async () => {
    const refreshMs = 400;
    const [a, b] = await pair({ refreshMs });
    for (const seed of [1, 2]) await a.put(`n${seed}`, fittingAdapter(seed));
    await sendAlias(a, "PUT", "live", { targets: { n1: 1 } });
    for (const seed of [2, 1]) {
      expect((await ask(b, "live")).adapter).not.toBe(`n${seed}@${hash(seed)}`);
      await sendAlias(a, "POST", "live/promote", { target: `n${seed}` });
      const doneAt = performance.now();
      const late: (string | null)[] = [];
      while (late.length < 10) {
        const startedAt = performance.now();
        const { adapter } = await ask(b, "live");
        if (startedAt - doneAt > refreshMs) late.push(adapter);
      }
      expect(new Set(late)).toEqual(new Set([`n${seed}@${hash(seed)}`]));
    }
  });

  it("keep what an alias of another server needs", async () => {
    const [a, b] = await pair({ refreshMs: 0 });
    await a.put("one", fittingAdapter(1));
    const pinned = `one@${hash(1)}`;
    expect((await sendAlias(a, "PUT", "live", { targets: { [pinned]: 1 } })).status).toBe(201);
    for (const seed of [2, 3, 4, 5, 6]) await b.put("one", fittingAdapter(seed));
    const fresh = await servers.join(store());
    expect([(await ask(a, "live")).adapter, (await ask(fresh, "live")).adapter]).toEqual([pinned, pinned]);
    const codeOf = async (answer: Response) => ((await answer.json()) as ErrorAnswer).error.code;
    const remove = async (text: string) => await b.app.request(`/v1/adapters/${text}`, { method: "DELETE" });
    expect([await codeOf(await remove("one")), await codeOf(await remove(pinned))]).toEqual([
      "generation_in_use",
      "generation_in_use",
    ]);
    expect(await codeOf(await b.put("live", fittingAdapter(7)))).toBe("name_in_use");
    for (const [name, target, code] of [
      ["one", "one", "name_in_use"],
      ["next", "live", "invalid_request"],
      ["next", "nobody", "adapter_not_found"],
    ] as const)
      expect((await sendAlias(b, "PUT", name, { targets: { [target]: 1 } })).code).toBe(code);
    await sendAlias(b, "DELETE", "live");
    expect((await remove("one")).status).toBe(200);
  });

  it("keep their copies below the bound, and find removed ones again", async () => {
    const bytes = fittingAdapter(1).byteLength;
    const [a, b] = await pair({ maxCacheBytes: 8 * bytes });
    const seeds = Array.from({ length: 20 }, (_, i) => i + 1);
    for (const seed of seeds) await a.put(`n${seed}`, fittingAdapter(seed));
    for (const seed of seeds) expect((await ask(b, `n${seed}`)).adapter).toBe(`n${seed}@${hash(seed)}`);
    await b.context.sharedStore?.names.settle();
    expect(b.store.totalBytes()).toBeLessThanOrEqual(8 * bytes);
    for (const seed of seeds) expect((await ask(b, `n${seed}`)).adapter).toBe(`n${seed}@${hash(seed)}`);
  });
});

describe.skipIf(!hasBucket)("servers that share a bucket, request by request,", () => {
  const pair = async (options: TestAppOptions = {}): Promise<[TestApp, TestApp]> => {
    const url = bucket.newUrl();
    const apps: [TestApp, TestApp] = [
      await servers.join(bucket.objectsAt(url), options),
      await servers.join(bucket.objectsAt(url), options),
    ];
    bucket.takeRequests();
    return apps;
  };

  it("find a name at its first request in one round trip, and then ask nothing until the bound", async () => {
    const [a, b] = await pair();
    expect((await a.put("acme", fittingAdapter(1))).status).toBe(201);
    bucket.takeRequests();
    expect(await ask(b, "acme")).toMatchObject({ status: 200, adapter: `acme@${hash(1)}` });
    // All are sent at once: the tenant's own names, and those of all tenants.
    expect(bucket.takeRequests().toSorted()).toEqual([
      "GET aliases/default",
      "GET aliases/shared",
      "GET names/default/acme",
      "GET names/shared/acme",
    ]);
    expect([await ask(b, "acme"), await ask(b, "base:acme")]).toMatchObject([{ status: 200 }, { status: 200 }]);
    expect((await ask(b, "nobody")).body.error.code).toBe("model_not_found");
    expect((await ask(b, "nobody")).status).toBe(404);
    expect(bucket.takeRequests().toSorted()).toEqual(["GET names/default/nobody", "GET names/shared/nobody"]);
  });

  it("do not ask for each name of an owner that has none, and see the first one within --store-refresh", async () => {
    const [a, b] = await pair({ refreshMs: 2000 });
    let asked = 0;
    const requestsOfOne = async (): Promise<readonly string[]> => {
      bucket.takeRequests();
      expect((await ask(b, `nobody-${++asked}`)).status).toBe(404);
      return bucket.takeRequests().filter((line) => line.startsWith("GET names/"));
    };
    await until("a name that nobody asks for", requestsOfOne, (lines) => lines.length === 0);
    expect(asked).toBeGreaterThan(8);
    expect((await a.put("first", fittingAdapter(2))).status).toBe(201);
    await until("the first name", async () => (await ask(b, "first")).adapter === `first@${hash(2)}`);
  });

  it("read a large content as an object of its own, and give back the same bytes", async () => {
    const [a, b] = await pair();
    await a.put("large", largeAdapter());
    const content = await b.app.request("/v1/adapters/large/content");
    expect(Buffer.compare(Buffer.from(await content.arrayBuffer()), Buffer.from(largeAdapter()))).toBe(0);
    expect(bucket.takeRequests().filter((line) => line.startsWith("GET contents/default/large/"))).toHaveLength(1);
  });

  it("refuse preconditions where the store ignores them, and write without", async () => {
    const [a, b] = await pair();
    bucket.fault = () => "unconditional";
    const refused = await a.put("plain", fittingAdapter(1), { "if-none-match": "*" });
    expect([refused.status, ((await refused.json()) as ErrorAnswer).error.code]).toEqual([
      501,
      "precondition_unsupported",
    ]);
    expect((await a.put("plain", fittingAdapter(1))).status).toBe(201);
    expect(await generation(b, "plain")).toBe(hash(1));
    // One server's list of aliases would overwrite another one's.
    expect((await sendAlias(a, "PUT", "live", { targets: { plain: 1 } })).code).toBe("precondition_unsupported");
  });
});
