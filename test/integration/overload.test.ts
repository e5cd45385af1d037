/** A server with more requests than rows: who gets the next one, who is refused and how soon, and what never costs a step. */
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { longLlamaBase } from "../helpers/golden-base.ts";
import {
  codeOf,
  complete,
  readMetrics,
  startServer,
  stream,
  tempDir,
  type TestServer,
  until,
} from "../helpers/server.ts";

let baseDir: string;
beforeAll(async () => {
  baseDir = await longLlamaBase(640);
});

const KEYS = ["--api-key", "flood=one", "--api-key", "small=two"];
const keyed = (key: string, timeoutMs?: number) => ({
  headers: {
    authorization: `Bearer ${key}`,
    ...(timeoutMs === undefined ? {} : { "x-request-timeout-ms": String(timeoutMs) }),
  },
});
const [flood, small] = [keyed("one"), keyed("two")];

/** A server with two rows and a key for each of two tenants. */
const serve = (...more: string[]): Promise<TestServer> => {
  const flags = ["--model", baseDir, "--served-model-name", "base", "--max-num-seqs", "2", ...KEYS];
  return startServer([...flags, "--data", join(tempDir(), "data"), ...more]);
};
const metricsOf = async (url: string, ...names: string[]): Promise<number[]> => {
  const metrics = await readMetrics(url, flood);
  return names.map((name) => metrics.get(name) ?? NaN);
};
const RUNNING = "vllm:num_requests_running";
const WAITING = "vllm:num_requests_waiting";
const PREFILLS = 'mosara_engine_steps_total{phase="prefill"}';
const untilWaiting = (url: string, count: number) =>
  until(
    `${count} that wait`,
    async () => await metricsOf(url, RUNNING, WAITING),
    ([running, waiting]) => running === 2 && waiting === count,
  );
const untilIdle = (url: string) =>
  until(
    "an idle server",
    async () => await metricsOf(url, RUNNING, WAITING),
    (counts) => counts.every((count) => count === 0),
  );

/** Keeps both rows busy until `leave`. */
function occupy(url: string) {
  const abort = new AbortController();
  const streams = [1, 2].map((i) =>
    stream(url, { model: "base", prompt: [5, 6, i], max_tokens: 600 }, { ...flood, signal: abort.signal }),
  );
  return { leave: () => abort.abort(), ended: Promise.allSettled(streams.map(({ ended }) => ended)) };
}

it("lets one tenant's single request wait no longer than two requests take, behind another's 200", async () => {
  await using server = await serve();
  const { url } = server;
  const abort = new AbortController();
  const body = (i: number) => ({ model: "base", prompt: [5 + (i % 9), 6], max_tokens: 200 });
  const requests = Array.from({ length: 204 }, (_, i) => complete(url, body(i), { ...flood, signal: abort.signal }));
  const ended = Promise.allSettled(requests);
  await until(
    "200 that wait",
    async () => await metricsOf(url, WAITING),
    ([waiting]) => (waiting ?? 0) >= 195,
  );
  const sentAt = performance.now();
  const { answer, ended: answered } = stream(url, body(0), small);
  await until("the first token", () => answer.firstAt !== null);
  const waitedSeconds = ((answer.firstAt ?? Infinity) - sentAt) / 1000;
  expect(await answered).toMatchObject({ isDone: true, ids: { length: 200 } });
  const [prefill = NaN, decode = NaN, count = NaN] = await metricsOf(
    url,
    "vllm:request_prefill_time_seconds_sum",
    "vllm:request_decode_time_seconds_sum",
    "vllm:request_decode_time_seconds_count",
  );
  expect(waitedSeconds).toBeLessThan((2 * (prefill + decode)) / count);
  // The others go with their clients, without a step for them.
  abort.abort();
  await ended;
  const [before = NaN] = await metricsOf(url, PREFILLS);
  await untilIdle(url);
  const [after = NaN] = await metricsOf(url, PREFILLS);
  expect(after - before).toBeLessThan(20);
});

describe("a full queue", () => {
  it("refuses at once with 503 and Retry-After, by requests; another tenant still gets in, for the newest of the first", async () => {
    await using server = await serve("--max-queue", "3");
    const { url } = server;
    const { leave, ended } = occupy(url);
    await untilWaiting(url, 0);
    const body = { model: "base", prompt: [9, 9], max_tokens: 4 };
    const waiting: ReturnType<typeof complete>[] = [];
    for (let i = 1; i <= 3; i++) {
      waiting.push(complete(url, body, flood));
      await untilWaiting(url, i);
    }
    const sentAt = performance.now();
    for (const isStreamed of [false, true]) {
      const refused = await complete(url, { ...body, stream: isStreamed }, flood);
      expect(codeOf(refused)).toBe("503 overloaded");
      expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    }
    expect(performance.now() - sentAt).toBeLessThan(1000);
    const other = complete(url, body, small);
    const displaced = await waiting[2];
    expect(displaced && codeOf(displaced)).toBe("503 overloaded");
    leave();
    await ended;
    expect((await other).status).toBe(200);
    for (const one of waiting.slice(0, 2)) expect((await one).status).toBe(200);
  });

  it("refuses by prompt tokens", async () => {
    await using server = await serve("--max-queue-tokens", "100");
    const { url } = server;
    const { leave, ended } = occupy(url);
    await untilWaiting(url, 0);
    const ask = (numTokens: number) =>
      complete(url, { model: "base", prompt: Array.from({ length: numTokens }, () => 7), max_tokens: 4 }, flood);
    const fits = ask(60);
    await untilWaiting(url, 1);
    expect(codeOf(await ask(41))).toBe("503 overloaded");
    const also = ask(40);
    await untilWaiting(url, 2);
    leave();
    await ended;
    expect([(await fits).status, (await also).status]).toEqual([200, 200]);
  });
});

describe("a request that waits", () => {
  it("is dropped at its deadline, or when its client leaves, before it has cost a step", async () => {
    await using server = await serve();
    const { url } = server;
    const { leave, ended } = occupy(url);
    await untilWaiting(url, 0);
    const [before] = await metricsOf(url, PREFILLS);
    const body = { model: "base", prompt: [9, 9], max_tokens: 4 };
    const withDeadline = keyed("one", 50);
    for (const isStreamed of [false, true])
      expect(codeOf(await complete(url, { ...body, stream: isStreamed }, withDeadline))).toBe("504 deadline_exceeded");
    const abort = new AbortController();
    const left = [false, true].map((isStreamed) =>
      complete(url, { ...body, stream: isStreamed }, { ...flood, signal: abort.signal }),
    );
    const settled = Promise.allSettled(left);
    await untilWaiting(url, 2);
    abort.abort();
    await settled;
    await untilWaiting(url, 0);
    expect(await metricsOf(url, PREFILLS)).toEqual([before]);
    leave();
    await ended;
    await untilIdle(url);
  });

  it("ends in the middle of its answer when its deadline passes", async () => {
    await using server = await serve();
    const { answer, ended } = stream(server.url, { model: "base", prompt: [9, 9], max_tokens: 600 }, keyed("one", 150));
    await ended;
    expect([answer.isDone, answer.errorCode]).toEqual([false, "deadline_exceeded"]);
    await untilIdle(server.url);
  });
});
