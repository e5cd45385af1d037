/** A server with two rows and keys of two tenants, whose rows and queue a test fills. */
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { longLlamaBase } from "./models/golden-base.ts";
import { childrenOf } from "./processes.ts";
import { codeOf, complete, readMetrics, startServer, stream, tempDir, type TestServer, until } from "./server.ts";

/** A base whose contexts are long enough to keep a row busy. */
export let baseDir: string;

export function useLongBase(): void {
  beforeAll(async () => {
    baseDir = await longLlamaBase(640);
  });
}

const KEYS = ["--api-key", "flood=one", "--api-key", "small=two"];

export const keyed = (key: string, timeoutMs?: number) => ({
  headers: {
    authorization: `Bearer ${key}`,
    ...(timeoutMs === undefined ? {} : { "x-request-timeout-ms": String(timeoutMs) }),
  },
});

export const [flood, small] = [keyed("one"), keyed("two")];

/** A server with two rows and a key for each of two tenants. */
export const serve = (...more: string[]): Promise<TestServer> => {
  const flags = ["--model", baseDir, "--served-model-name", "base", "--max-num-seqs", "2", ...KEYS];
  return startServer([...flags, "--data", join(tempDir(), "data"), ...more]);
};

export const metricsOf = async (url: string, ...names: string[]): Promise<number[]> => {
  const metrics = await readMetrics(url, flood);
  return names.map((name) => metrics.get(name) ?? NaN);
};

const RUNNING = "vllm:num_requests_running";

export const WAITING = "vllm:num_requests_waiting";

export const PREFILLS = 'mosara_engine_steps_total{phase="prefill"}';

export const untilWaiting = (url: string, count: number) =>
  until(
    `${count} that wait`,
    async () => await metricsOf(url, RUNNING, WAITING),
    ([running, waiting]) => running === 2 && waiting === count,
  );

export const untilIdle = (url: string) =>
  until(
    "an idle server",
    async () => await metricsOf(url, RUNNING, WAITING),
    (counts) => counts.every((count) => count === 0),
  );

/** Keeps both rows busy until `leave`. */
export function occupy(url: string, model = "base") {
  const abort = new AbortController();
  const streams = [1, 2].map((i) =>
    stream(url, { model, prompt: [5, 6, i], max_tokens: 600 }, { ...flood, signal: abort.signal }),
  );
  return { leave: () => abort.abort(), ended: Promise.allSettled(streams.map(({ ended }) => ended)) };
}

/** Refused without the engine, which stands still while `use` runs. */
export async function whileFrozen<T>(server: TestServer, use: () => Promise<T>): Promise<T> {
  const [engine = NaN] = childrenOf(server.pid);
  process.kill(engine, "SIGSTOP");
  try {
    return await use();
  } finally {
    process.kill(engine, "SIGCONT");
  }
}

/** Sends one request more than there are places at once: exactly one is refused. @returns those that wait */
export async function fillQueue(url: string, numPlaces: number, body: object, init: RequestInit = flood) {
  const all = Array.from({ length: numPlaces + 1 }, () => complete(url, body, init));
  const ended = all.map(async (one, i) => [i, await one] as const);
  for (const one of ended) one.catch(() => {}); // left on purpose by some
  const [refused, answer] = await Promise.race(ended);
  expect(codeOf(answer)).toBe("503 overloaded");
  expect(codeOf(await complete(url, body, init))).toBe("503 overloaded");
  return all.filter((_, i) => i !== refused);
}

/** The status of a request whose body never comes. */
export function statusWithoutBody(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { ...flood.headers, "content-length": "1000000" };
    const request = httpRequest(url, { method: "POST", headers }, (response) => {
      resolve(response.statusCode);
      request.destroy();
    });
    request.on("error", reject);
    request.write('{"model": ');
  });
}
