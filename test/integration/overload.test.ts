/**
 * A server with more requests than rows: who gets the next one, who is refused and how soon, and what never costs a
 * step.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openBase } from "../../src/base/base.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { childrenOf } from "../helpers/processes.ts";
import { codeOf, complete, putAdapter, send, stream, type TestServer, until } from "../helpers/server.ts";
import {
  baseDir,
  keyed,
  flood,
  small,
  serve,
  metricsOf,
  WAITING,
  PREFILLS,
  untilWaiting,
  untilIdle,
  occupy,
  whileFrozen,
  fillQueue,
  statusWithoutBody,
  useLongBase,
} from "../helpers/busy-server.ts";

useLongBase();

const REFUSED = "mosara_requests_refused_total";
const ABORTED = 'vllm:request_success_total{finished_reason="abort"}';

/** A counter, which is not there before it has counted something. */
const countOf = async (url: string, name: string): Promise<number> => (await metricsOf(url, name))[0] || 0;

/** Servers of all tests, which begin when nothing runs or waits. */
let plain: TestServer;
/** With places for three requests. */
let bounded: TestServer;
beforeAll(async () => {
  [plain, bounded] = await Promise.all([serve(), serve("--max-queue", "3")]);
});
beforeEach(() => Promise.all([plain, bounded].map(({ url }) => untilIdle(url))));
afterAll(() => Promise.all([plain, bounded].map((server) => server[Symbol.asyncDispose]())));

it("lets one tenant's single request wait no longer than two requests take, behind another's 200", async () => {
  const { url } = plain;
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
    const { url } = bounded;
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

describe("refusing", () => {
  const body = { model: "base", prompt: [9, 9], max_tokens: 4 };

  it("needs neither the engine nor the body of the request, and is counted", async () => {
    const { url } = bounded;
    const { leave, ended } = occupy(url);
    await untilWaiting(url, 0);
    const before = await countOf(url, REFUSED);
    const waiting = await whileFrozen(bounded, async () => {
      const passed = await fillQueue(url, 3, body);
      for (const path of ["completions", "chat/completions"])
        expect(await statusWithoutBody(`${url}/v1/${path}`)).toBe(503);
      expect(await countOf(url, REFUSED)).toBe(before + 4);
      return passed;
    });
    leave();
    await ended;
    for (const one of waiting) expect((await one).status).toBe(200);
  });

  it("leaves the places of those alone who would not make room for the whole of a request", async () => {
    const { url } = bounded;
    const { leave, ended } = occupy(url);
    await untilWaiting(url, 0);
    const answers = await whileFrozen(bounded, async () => {
      const waiting = await fillQueue(url, 3, body);
      // One more of another tenant's would come in for the newest, four never can.
      expect(codeOf(await complete(url, { ...body, n: 4 }, small))).toBe("503 overloaded");
      return waiting;
    });
    leave();
    await ended;
    for (const one of answers) expect((await one).status).toBe(200);
  });
});

describe("the places in the queue", () => {
  const body = { model: "base", prompt: [9, 9], max_tokens: 4 };

  it("are all there again after deadlines, clients that left, and the end of the engine's process", async () => {
    const { url } = bounded;
    const first = occupy(url);
    await untilWaiting(url, 0);
    // Deadlines.
    const late = Array.from({ length: 3 }, () => complete(url, body, keyed("one", 50)));
    for (const one of late) expect(codeOf(await one)).toBe("504 deadline_exceeded");
    await untilWaiting(url, 0);
    await whileFrozen(bounded, async () => {
      // Clients that leave, which the engine has not even heard of.
      const abort = new AbortController();
      const left = Promise.allSettled(await fillQueue(url, 3, body, { ...flood, signal: abort.signal }));
      const before = await countOf(url, ABORTED);
      abort.abort();
      await left;
      await until(
        "the server to notice",
        async () => await countOf(url, ABORTED),
        (count) => count === before + 3,
      );
      const dying = await fillQueue(url, 3, body);
      process.kill(childrenOf(bounded.pid)[0] as number, "SIGKILL"); // there is one
      for (const one of dying) expect(codeOf(await one)).toBe("503 engine_unavailable");
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ESRCH") throw error; // the one that stood still is gone
    });
    await first.ended;
    await until("another engine", async () => (await fetch(`${url}/readyz`)).status === 200);
    const again = occupy(url);
    await untilWaiting(url, 0);
    const waiting = await whileFrozen(bounded, () => fillQueue(url, 3, body));
    again.leave();
    await again.ended;
    for (const one of waiting) expect((await one).status).toBe(200);
    await untilIdle(url);
  });

  it("are a merged engine's own", async () => {
    const { url } = bounded;
    await using base = await openBase(baseDir);
    await putAdapter(url, "m", adapterFile(base.manifest, { seed: 1 }), { authorization: "Bearer one" });
    const placed = await send(`${url}/v1/adapters/m/placement`, "POST", { placement: "merged" }, flood);
    expect(placed.status).toBe(200);
    const merged = { ...body, model: "m" };
    for (let round = 0; round < 2; round++) {
      const { leave, ended } = occupy(url, "m");
      await untilWaiting(url, 0);
      const waiting = await fillQueue(url, 3, merged);
      expect((await complete(url, body, flood)).status).toBe(200); // the live engine has its own
      leave();
      await ended;
      for (const one of waiting) expect((await one).status).toBe(200);
      await untilIdle(url);
    }
    // And the other way round.
    const { leave, ended } = occupy(url);
    await untilWaiting(url, 0);
    const waiting = await fillQueue(url, 3, body);
    expect((await complete(url, merged, flood)).status).toBe(200);
    leave();
    await ended;
    for (const one of waiting) expect((await one).status).toBe(200);
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
    const { answer, ended } = stream(plain.url, { model: "base", prompt: [9, 9], max_tokens: 600 }, keyed("one", 150));
    await ended;
    expect([answer.isDone, answer.errorCode]).toEqual([false, "deadline_exceeded"]);
    await untilIdle(plain.url);
  });
});
