/** Two servers that count limits in one Redis, which stops, dies and comes back while they answer. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { hasRedis, startRedis, type TestRedis } from "../helpers/outside/redis.ts";
import { childrenOf } from "../helpers/processes.ts";
import { complete, metric, startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

/** Starting servers on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const LIMITS = {
  minute: { requestsPerMinute: 6 },
  stopped: { requestsPerMinute: 6 },
  tokens: { tokensPerMinute: 1000 },
  one: { concurrent: 1 },
  wide: { requestsPerMinute: 100_000, tokensPerMinute: 100_000_000, concurrent: 1000 },
};
type Key = keyof typeof LIMITS;

function writeKeys(): string {
  const path = join(tempDir(), "keys.json");
  const keys = Object.entries(LIMITS).map(([id, limits]) => ({
    id,
    sha256: createHash("sha256").update(id).digest("hex"),
    tenant: `tenant-${id}`,
    scopes: ["use"],
    limits,
  }));
  writeFileSync(path, JSON.stringify({ version: 1, keys }));
  return path;
}

describe.skipIf(!hasRedis("limits over two servers"))("two servers with --limits-redis", () => {
  let redis: TestRedis;
  let a: TestServer;
  let b: TestServer;
  beforeAll(async () => {
    redis = await startRedis();
    const flags = ["--model", join(packageRoot(), "models", "demo"), "--served-model-name", "demo"];
    const start = () => startServer([...flags, "--keys", writeKeys(), "--limits-redis", redis.url, "--public-metrics"]);
    [a, b] = await Promise.all([start(), start()]);
  });
  afterAll(async () => {
    for (const part of [a, b, redis]) await part[Symbol.asyncDispose]();
  });

  const ask = (server: TestServer, key: Key, body: object = {}) =>
    complete(
      server.url,
      { model: "demo", prompt: "Hello", max_tokens: 4, ...body },
      { headers: { authorization: `Bearer ${key}` } },
    );
  const statuses = async (key: Key, number: number) => {
    const answers = await Promise.all(Array.from({ length: number }, (_, i) => ask(i % 2 === 0 ? a : b, key)));
    return answers.map(({ status }) => status).toSorted((x, y) => x - y);
  };
  const untilShared = (isShared: 0 | 1) =>
    until("the counters", async () =>
      (await Promise.all([a, b].map(({ url }) => metric(url, "mosara_limits_shared")))).every((it) => it === isShared),
    );

  it("give a key its limits once, not once a server", async () => {
    await untilShared(1);
    expect(await statuses("minute", 9)).toEqual([...Array<number>(6).fill(200), ...Array<number>(3).fill(429)]);
    const remaining = async (server: TestServer) =>
      Number((await ask(server, "tokens")).headers.get("x-ratelimit-remaining-tokens"));
    const first = await remaining(a);
    expect([await remaining(b), await remaining(a)]).toEqual([1000 - 2 * (1000 - first), 1000 - 3 * (1000 - first)]);
  });

  it("continue to answer while Redis is stopped, count for themselves, and share again when it continues", async () => {
    expect(await statuses("stopped", 7)).toContain(429);
    redis.stop();
    const startedAt = performance.now();
    expect(await statuses("wide", 20)).toEqual(Array(20).fill(200));
    // A request waits at most 500 ms for Redis, which answers nothing before `resume`. The rest is for a busy machine.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(await statuses("stopped", 4)).toEqual(Array(4).fill(200));
    await untilShared(0);
    redis.resume();
    await untilShared(1);
    expect(await statuses("stopped", 2)).toEqual([429, 429]);
    expect(await metric(a.url, "mosara_limits_redis_losses_total")).toBeGreaterThan(0);
    expect(a.printed.stderr).toContain("this server counts the limits for itself alone");
  });

  it("lose no request when Redis is killed under them, and share again with the next one", async () => {
    const running = statuses("wide", 20);
    await redis.kill();
    expect(await running).toEqual(Array(20).fill(200));
    expect(await statuses("wide", 20)).toEqual(Array(20).fill(200));
    await untilShared(0);
    await redis.restart();
    await untilShared(1);
    expect(await statuses("minute", 9)).toEqual([...Array<number>(6).fill(200), ...Array<number>(3).fill(429)]);
  });

  it("give back the slots of a server that was killed", async () => {
    const [engine = 0] = childrenOf(a.pid);
    process.kill(engine, "SIGSTOP"); // so that the request does not end
    const lost = ask(a, "one").catch(() => "lost");
    try {
      await until("the slot to be taken", () => redis.exists("mosara:runs:key/one"));
      expect((await ask(b, "one")).status).toBe(429);
    } finally {
      a.child.kill("SIGKILL");
      process.kill(engine, "SIGKILL");
    }
    expect(await lost).toBe("lost");
    await until("the slot to be free", async () => (await ask(b, "one")).status === 200);
  });
});
