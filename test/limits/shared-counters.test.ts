/** Two servers' counters in one real Redis. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { SharedCounters } from "../../src/limits/shared-counters.ts";
import { hasRedis, startRedis, type TestRedis } from "../helpers/outside/redis.ts";
import { until } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

async function connectTo(url: string) {
  const client = await createClient({ url }).connect();
  return { client, [Symbol.asyncDispose]: async () => client.destroy() };
}

/** A short lease, since a test waits for its end, and patience with a busy machine. */
const TIMES = { answerMs: 10_000, connectMs: 10_000, beatMs: 200, leaseMs: 1500 };

describe.skipIf(!hasRedis("counters in Redis"))("counters of two servers", () => {
  let redis: TestRedis;
  const servers: SharedCounters[] = [];
  const seen: string[] = [];
  const open = async (url = redis.url) => {
    const events = { onShared: () => seen.push("shared"), onAlone: () => seen.push("alone") };
    const server = await SharedCounters.open(url, events, TIMES);
    servers.push(server);
    return server;
  };
  let a: SharedCounters;
  let b: SharedCounters;
  beforeAll(async () => {
    redis = await startRedis();
    [a, b] = [await open(), await open()];
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await redis[Symbol.asyncDispose]();
  });
  const demand = (id: string, points: number, limit: number) => ({ id, points, limit });

  it("count every demand once, whichever server asks first", async () => {
    const demands = Array.from({ length: 60 }, (_, i) =>
      (i % 2 === 0 ? a : b).take("requests", [demand("key/x", 1, 50), demand("tenant/x", 1, 40)]),
    );
    const taken = await Promise.all(demands);
    expect(taken.filter(({ isRefused }) => !isRefused)).toHaveLength(40);
    // The key was refused nothing, and what its tenant refused is not counted against it.
    const { uses } = await b.take("requests", [demand("key/x", 10, 50)]);
    expect(uses).toMatchObject([{ limit: 50, remaining: 0 }]);
    expect(uses[0]?.msLeft).toBeGreaterThan(30_000);
  });

  it("settle a charge on all servers, and never below nothing", async () => {
    const charged = await a.take("tokens", [demand("tenant/y", 90, 100)]);
    expect((await b.take("tokens", [demand("tenant/y", 20, 100)])).isRefused).toBe(true);
    charged.settle(5);
    await until("the settlement", async () => {
      const probe = await b.take("tokens", [demand("tenant/y", 95, 100)]);
      probe.settle(0);
      return !probe.isRefused;
    });
  });

  it("settle a charge in the windows that continue, where another one has ended", async () => {
    await a.take("tokens", [demand("key/short", 1, 100)]);
    await using direct = await connectTo(redis.url);
    await direct.client.pExpire("mosara:tokens:key/short", 2000);
    const charged = await a.take("tokens", [demand("key/short", 50, 100), demand("tenant/long", 50, 100)]);
    await until("the end of a window", async () => (await direct.client.exists("mosara:tokens:key/short")) === 0);
    await b.take("tokens", [demand("key/short", 10, 100)]); // the next window
    await sleep(charged.uses[0]?.msLeft ?? Number.NaN);
    charged.settle(5);
    await until("the settlement", async () => (await direct.client.get("mosara:tokens:tenant/long")) === "5");
    expect(await direct.client.get("mosara:tokens:key/short")).toBe("10");
  });

  it("give slots to one run of a meter, and give back those of a run that ended", async () => {
    const slots = [{ id: "key/z", limit: 2 }];
    expect(await a.begin("a1", slots)).toBeNull();
    expect(await b.begin("b1", slots)).toBeNull();
    expect(await b.begin("b2", slots)).toEqual({ id: "key/z", limit: 2, running: 2 });
    a.end("a1");
    await until("the slot", async () => (await b.begin("b2", slots)) === null);
  });

  it("keep the slots of a server that lives, and give back those of one that has gone", async () => {
    const slots = [{ id: "key/lease", limit: 1 }];
    expect(await a.begin("kept", [{ id: "key/kept", limit: 1 }])).toBeNull();
    const gone = await open();
    expect(await gone.begin("gone", slots)).toBeNull();
    gone.close(); // ends no run, as if it was killed
    expect(await b.begin("next", slots)).toMatchObject({ running: 1 });
    await until("the end of the lease", async () => (await b.begin("next", slots)) === null);
    expect(await b.begin("other", [{ id: "key/kept", limit: 1 }])).toMatchObject({ running: 1 });
  });

  it("refuse a connection that Redis refuses, and begin alone where nothing answers", async () => {
    await using locked = await startRedis("--requirepass", "secret");
    await expect(open(locked.url)).rejects.toThrow(/NOAUTH|WRONGPASS/);
    expect(await (await open(locked.url.replace("//", "//:secret@"))).begin("r", [{ id: "k", limit: 1 }])).toBeNull();
    seen.length = 0;
    const alone = await open("redis://127.0.0.1:1");
    expect(seen).toEqual(["alone"]);
    expect((await alone.take("requests", [demand("key/x", 1, 1)])).isRefused).toBe(false);
    expect((await alone.take("requests", [demand("key/x", 1, 1)])).isRefused).toBe(true);
  });
});
