/** The supervisor, the client and the host with real processes; only the model in them is a toy. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { MergeReport } from "../../../src/adapter/merge-report.ts";
import type { SequenceStream } from "../../../src/engine/engine.ts";
import type { EngineOptions, StepStats } from "../../../src/engine/protocol.ts";
import { createEngine, type SupervisedEngine, type SupervisorOptions } from "../../../src/engine/server/supervisor.ts";
import { AppError } from "../../../src/errors.ts";
import { sequenceRequest } from "../../helpers/engine/sequences.ts";
import { type ToyOptions, toyGreedy } from "../../helpers/engine/toy-runner.mjs";

const ENTRY = new URL("../../helpers/engine/toy-engine-process.mjs", import.meta.url);
const SCRATCH = mkdtempSync(join(tmpdir(), "mosara-supervisor-"));
const REPORT: MergeReport = { maxAbsLogitDifference: 0, kl: 0, seconds: 0 };

type ToyBase = ToyOptions & { openMs?: number; failsWhile?: string };

function engineOptions(base: ToyBase): EngineOptions {
  return {
    baseDir: JSON.stringify(base),
    storeDir: "",
    device: "cpu",
    numThreads: 1,
    maxNumSeqs: 4,
    maxModelLen: null,
    kvCacheBytes: 0,
    adapterCacheBytes: 0,
    maxLiveRank: 64,
    maxQueue: 100,
    maxQueueTokens: 100_000,
    usesPrefixCache: false,
    maxDraft: 0,
    requiresBatchInvariance: false,
    takesAdapters: true,
  };
}

const engines: SupervisedEngine[] = [];

function start(base: ToyBase = {}, overrides: Partial<SupervisorOptions> = {}): SupervisedEngine {
  const engine = createEngine({
    engine: engineOptions(base),
    maxMerged: 1,
    prepareMerged: (generation) => Promise.resolve(JSON.stringify({ ...base, generation })),
    measureMerge: () => Promise.resolve(REPORT),
    restartPolicy: { minMs: 50, maxMs: 400, healthyMs: 30_000 },
    entry: ENTRY,
    ...overrides,
  });
  engines.push(engine);
  return engine;
}

async function startReady(base: ToyBase = {}, overrides: Partial<SupervisorOptions> = {}): Promise<SupervisedEngine> {
  const engine = start(base, overrides);
  await engine.whenReady();
  return engine;
}

async function tokensOf(stream: SequenceStream): Promise<number[]> {
  const tokens: number[] = [];
  for await (const event of stream) if (event.type === "token") tokens.push(event.tokenId);
  return tokens;
}

/** Reads the first token and leaves the stream running. */
async function firstToken(stream: SequenceStream): Promise<AsyncIterator<unknown>> {
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  return reader;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

function livePid(engine: SupervisedEngine): number {
  const [pid] = engine.pids();
  if (pid === undefined) throw new Error("no engine process");
  return pid;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

beforeAll(() => {
  if (!existsSync(new URL("../../../dist/src/engine/process/engine-host.js", import.meta.url)))
    throw new Error("these tests fork the compiled engine: run `npm run build` first (`npm test` does)");
  return () => rmSync(SCRATCH, { recursive: true, force: true });
});

afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(0)));
});

describe("an engine process", () => {
  it("answers many sequences with what the model gives", async () => {
    const engine = await startReady();
    expect(engine.readiness()).toEqual({ isReady: true });
    expect(engine.limits()).toEqual({
      maxModelLen: 1024,
      vocabSize: 40,
      maxNumSeqs: 4,
      isBatchInvariant: true,
      device: expect.objectContaining({ name: "cpu" }),
      capacity: expect.objectContaining({ kvBlockTokens: 64 }),
    });
    const generations = [null, "g1", "g2"];
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => {
        const generation = generations[i % 3];
        const adapter = generation ? { generation } : null;
        return tokensOf(engine.submit(sequenceRequest([i, 3], { adapter, maxTokens: 10 })));
      }),
    );
    expect(answers).toEqual(answers.map((_, i) => toyGreedy([i, 3], generations[i % 3] ?? null, 10)));
  });

  it("sends scores before tokens, and errors with their codes", async () => {
    const engine = await startReady();
    const types: string[] = [];
    const scoring = engine.submit(sequenceRequest([1, 2, 3], { numPromptLogprobs: 1, maxTokens: 1 }));
    for await (const event of scoring) types.push(event.type);
    expect(types).toEqual(["prompt-scored", "token", "finished"]);
    const missing = engine.submit(sequenceRequest([1], { adapter: { generation: "missing" } }));
    await expect(tokensOf(missing)).rejects.toMatchObject({ code: "adapter_not_found" });
    const tooLong = sequenceRequest([1], { maxTokens: 5000 });
    expect(() => engine.submit(tooLong)).toThrow(expect.objectContaining({ code: "context_length_exceeded" }));
  });

  it("stops the work of a stream that is left, within a step", async () => {
    const engine = await startReady({ maxModelLen: 1_000_000, maxTokens: 1_000_000 });
    let last: StepStats | null = null;
    let numStepsSince: number | null = null;
    engine.onStats((stats) => {
      last = stats;
      if (numStepsSince !== null && stats.phase !== "idle") numStepsSince++;
    });
    const stream = engine.submit(sequenceRequest([1], { maxTokens: 900_000 }));
    for await (const event of stream) if (event.type === "token") break;
    numStepsSince = 0;
    await until(() => last?.numRunning === 0 && last.kvUsage === 0);
    await sleep(50);
    // Steps of the toy take microseconds; those on their way here when the command left are counted too.
    expect(numStepsSince).toBeLessThan(2000);
    const numSteps = numStepsSince;
    await sleep(50);
    expect(numStepsSince).toBe(numSteps);
  });

  it("leaves signals to its parent", async () => {
    const engine = await startReady();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.kill(livePid(engine), signal);
    await sleep(100);
    expect(await tokensOf(engine.submit(sequenceRequest([1])))).toEqual(toyGreedy([1], null, 4));
  });

  it("ends with its parent, in the middle of its work", async () => {
    const script = join(SCRATCH, "parent.mjs");
    const endless = { stepMs: 1, maxModelLen: 1_000_000, maxTokens: 1_000_000 };
    const dist = (path: string) => new URL(`../../../dist/src/engine/${path}`, import.meta.url).href;
    writeFileSync(
      script,
      `import { createEngine } from ${JSON.stringify(dist("server/supervisor.js"))};
      const engine = createEngine({ engine: ${JSON.stringify(engineOptions(endless))}, maxMerged: 0, entry: new URL(${JSON.stringify(ENTRY.href)}) });
      await engine.whenReady();
      const request = ${JSON.stringify(sequenceRequest([1], { maxTokens: 900_000 }))};
      for await (const event of engine.submit({ ...request, promptIds: Int32Array.of(1) })) break;
      engine.submit({ ...request, promptIds: Int32Array.of(1) });
      console.log(engine.pids()[0]);`,
    );
    const parent = execFile(process.execPath, [script]);
    const output = await new Promise<string>((resolve) => parent.stdout?.once("data", (data) => resolve(String(data))));
    const pid = Number(output);
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await until(() => !isAlive(pid));
  });
});

describe("when the process dies", () => {
  it("fails the running, says so, restarts, and serves again", async () => {
    const engine = await startReady({ stepMs: 5 });
    let numRestarts = 0;
    let last: StepStats | null = null;
    engine.onRestart(() => numRestarts++);
    engine.onStats((stats) => (last = stats));
    const running = [1, 2, 3, 4, 5, 6].map((i) => engine.submit(sequenceRequest([i], { maxTokens: 900 })));
    const ends = Promise.allSettled(running.map((stream) => tokensOf(stream)));
    await until(() => last?.numRunning === 4 && last.numWaiting === 2);
    process.kill(livePid(engine), "SIGKILL");
    const codes = (await ends).map((end) => (end.status === "rejected" ? (end.reason as AppError).code : "none"));
    expect(codes).toEqual(codes.map(() => "engine_unavailable"));
    expect(engine.readiness()).toEqual({ isReady: false, reason: expect.stringMatching(/SIGKILL/) });
    expect(() => engine.submit(sequenceRequest([1]))).toThrow(expect.objectContaining({ code: "engine_unavailable" }));
    expect(last).toMatchObject({ numRunning: 0, numWaiting: 0, kvUsage: 0 });
    await until(() => engine.readiness().isReady);
    expect(numRestarts).toBe(1);
    const adapter = { generation: "g1" };
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
  });

  it("tells why it could not start, keeps trying with growing pauses, and leaves the event loop alone", async () => {
    const failsWhile = join(SCRATCH, "broken");
    writeFileSync(failsWhile, "");
    const engine = start({ failsWhile });
    const restartsAt: number[] = [];
    engine.onRestart(() => restartsAt.push(performance.now()));
    await expect(engine.whenReady()).rejects.toMatchObject({
      code: "base_invalid",
      message: /toy: the base is broken/,
    });
    expect(engine.readiness()).toEqual({ isReady: false, reason: expect.stringContaining("the base is broken") });
    let longestTurnMs = 0;
    for (let before = performance.now(); restartsAt.length < 4;) {
      await sleep(5);
      longestTurnMs = Math.max(longestTurnMs, performance.now() - before);
      before = performance.now();
    }
    expect(longestTurnMs).toBeLessThan(1000);
    // 100, 200 and 400 ms after the end of the one before; a millisecond for the timers' own grain.
    const pauses = restartsAt.slice(1).map((at, i) => at - restartsAt[i]!); // i is in range
    for (const [i, pause] of pauses.entries()) expect(pause).toBeGreaterThan(50 * 2 ** (i + 1) - 1);
    rmSync(failsWhile);
    await until(() => engine.readiness().isReady);
  });

  it("pauses briefly again after a process that served for a while", async () => {
    const failsWhile = join(SCRATCH, "broken-for-a-while");
    writeFileSync(failsWhile, "");
    const engine = start({ failsWhile }, { restartPolicy: { minMs: 10, maxMs: 100_000, healthyMs: 1 } });
    let numRestarts = 0;
    engine.onRestart(() => numRestarts++);
    await until(() => numRestarts === 7); // the next pause would be 1280 ms
    rmSync(failsWhile);
    await until(() => engine.readiness().isReady);
    await sleep(10);
    const before = performance.now();
    process.kill(livePid(engine), "SIGKILL");
    await until(() => numRestarts >= 8 && engine.readiness().isReady === false);
    expect(performance.now() - before).toBeLessThan(1000);
  });

  it("ends one that has work and gives no progress, and none that only takes its time", async () => {
    const hang = { minMs: 300, numSteps: 30, checkMs: 20 };
    const engine = await startReady({ stepMs: 50 }, { restartPolicy: { minMs: 10, maxMs: 10, healthyMs: 0, hang } });
    // A second in all, each step shorter than the bound.
    expect(await tokensOf(engine.submit(sequenceRequest([1], { maxTokens: 20 })))).toHaveLength(20);
    const pid = livePid(engine);
    process.kill(pid, "SIGSTOP");
    await sleep(500); // idle, it may be as silent as it likes
    process.kill(pid, "SIGCONT");
    const running = engine.submit(sequenceRequest([1], { maxTokens: 900 }));
    await firstToken(running);
    process.kill(pid, "SIGSTOP");
    const before = performance.now();
    await until(() => !isAlive(pid));
    expect(performance.now() - before).toBeGreaterThan(1000); // 30 steps of 50 ms are more than 300 ms
    expect(engine.readiness()).toEqual({ isReady: false, reason: expect.stringContaining("no progress") });
    await until(() => engine.readiness().isReady);
    expect(await tokensOf(engine.submit(sequenceRequest([1])))).toEqual(toyGreedy([1], null, 4));
  });

  it("reports a process that cannot be started at all", async () => {
    const engine = start({}, { entry: pathToFileURL(join(SCRATCH, "nowhere.mjs")) });
    await expect(engine.whenReady()).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(engine.readiness().isReady).toBe(false);
  });
});

describe("stopping", () => {
  it("takes nothing new, lets the running end, and ends the process", async () => {
    const engine = await startReady({ stepMs: 5 });
    const pid = livePid(engine);
    const answer = tokensOf(engine.submit(sequenceRequest([1], { maxTokens: 20 })));
    const stopping = engine.stop(10_000);
    expect(engine.readiness()).toEqual({ isReady: false, reason: "the server is stopping" });
    expect(() => engine.submit(sequenceRequest([1]))).toThrow(expect.objectContaining({ code: "engine_unavailable" }));
    expect(await answer).toEqual(toyGreedy([1], null, 20));
    await stopping;
    expect(isAlive(pid)).toBe(false);
  });

  it("fails what has not ended by the deadline", async () => {
    const engine = await startReady({ stepMs: 5 });
    const answer = tokensOf(engine.submit(sequenceRequest([1], { maxTokens: 900 })));
    const outcome = expect(answer).rejects.toMatchObject({ code: "engine_unavailable" });
    const before = performance.now();
    await engine.stop(100);
    await outcome;
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it("ends a process that is still loading, and one that hangs in a step", async () => {
    const loading = start({ openMs: 60_000 });
    const hanging = await startReady({ stepMs: 60_000 });
    const answer = tokensOf(hanging.submit(sequenceRequest([1])));
    const outcome = expect(answer).rejects.toMatchObject({ code: "engine_unavailable" });
    const pids = [loading, hanging].map(livePid);
    await Promise.all([loading.stop(0), hanging.stop(0)]);
    await outcome;
    expect(pids.map(isAlive)).toEqual([false, false]);
    await expect(loading.whenReady()).rejects.toMatchObject({ code: "engine_unavailable" });
  });
});

describe("merged placement", () => {
  const adapter = { generation: "g1" };

  it("serves a generation from its own process, and live again after that one is gone", async () => {
    const requests: string[] = [];
    const engine = await startReady(
      {},
      {
        measureMerge: async (generation, live, merged) => {
          const request = sequenceRequest([5], { adapter: { generation } });
          const answers = await Promise.all([tokensOf(live(request)), tokensOf(merged(request))]);
          requests.push(...answers.map((answer) => answer.join()));
          return REPORT;
        },
      },
    );
    const report = await engine.merge("g1");
    expect(report.seconds).toBeGreaterThan(0);
    expect(requests).toEqual(Array(2).fill(toyGreedy([5], "g1", 4).join()));
    expect([...engine.mergedGenerations()]).toEqual(["g1"]);
    // With the live process gone, only the merged one can answer.
    process.kill(livePid(engine), "SIGKILL");
    await until(() => !engine.readiness().isReady);
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
    await until(() => engine.readiness().isReady);
    await engine.unmerge("g1");
    expect([...engine.mergedGenerations()]).toEqual([]);
    expect(engine.pids().length).toBe(1);
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
  });

  it("names its generation in the statistics, summed with the live engine's", async () => {
    const engine = await startReady({ stepMs: 3 });
    await engine.merge("g1");
    const seen: StepStats[] = [];
    engine.onStats((stats) => seen.push(stats));
    await Promise.all([
      tokensOf(engine.submit(sequenceRequest([1], { adapter, maxTokens: 20 }))),
      tokensOf(engine.submit(sequenceRequest([2], { adapter: { generation: "g2" }, maxTokens: 20 }))),
    ]);
    expect(
      seen.some(({ numRunning, runningAdapters }) => numRunning === 2 && runningAdapters.toSorted().join() === "g1,g2"),
    ).toBe(true);
    expect(seen.at(-1)).toMatchObject({ numRunning: 0, runningAdapters: [] });
  });

  it("lets the sequences of a merged engine end before it goes", async () => {
    const engine = await startReady({ stepMs: 5 });
    await engine.merge("g1");
    const answer = tokensOf(engine.submit(sequenceRequest([1], { adapter, maxTokens: 30 })));
    await engine.unmerge("g1");
    expect(await answer).toEqual(toyGreedy([1], "g1", 30));
  });

  it("is live while the merged process restarts", async () => {
    const engine = await startReady();
    await engine.merge("g1");
    const merged = engine.pids()[1];
    if (merged === undefined) throw new Error("no merged process");
    const running = await firstToken(engine.submit(sequenceRequest([1], { adapter, maxTokens: 900 })));
    process.kill(merged, "SIGKILL");
    await expect(async () => {
      for (;;) if ((await running.next()).done === true) return;
    }).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
    expect(engine.readiness().isReady).toBe(true);
    await until(() => engine.pids()[1] !== merged);
  });

  it("refuses beyond --max-merged, and gives the place back after a failure", async () => {
    const engine = await startReady(
      {},
      {
        prepareMerged: (generation) =>
          generation === "bad"
            ? Promise.reject(new AppError("not_mergeable", "Five heads cannot be merged."))
            : Promise.resolve(JSON.stringify({ generation })),
      },
    );
    await expect(engine.merge("bad")).rejects.toMatchObject({ code: "not_mergeable" });
    const [first, again] = [engine.merge("g1"), engine.merge("g1")];
    await expect(engine.merge("g2")).rejects.toMatchObject({ code: "insufficient_memory" });
    expect(await first).toEqual(await again);
    expect(engine.pids().length).toBe(2);
    await engine.unmerge("g1");
    await engine.merge("g2");
    expect([...engine.mergedGenerations()]).toEqual(["g2"]);
  });

  it("gives up a merge that is undone while it is under way", async () => {
    const engine = await startReady(
      {},
      { prepareMerged: (generation) => Promise.resolve(JSON.stringify({ generation, openMs: 60_000 })) },
    );
    const merging = expect(engine.merge("g1")).rejects.toMatchObject({ code: "engine_unavailable" });
    await until(() => engine.pids().length === 2);
    await engine.unmerge("g1");
    await merging;
    expect([engine.pids().length, engine.mergedGenerations().size]).toEqual([1, 0]);
  });
});

describe("turns between processes", () => {
  it("let one step run at a time, in alternation, while both have work", async () => {
    const logPath = join(SCRATCH, "steps.log");
    const engine = await startReady({ stepMs: 4, logPath });
    await engine.merge("g1");
    rmSync(logPath, { force: true });
    await Promise.all([
      tokensOf(engine.submit(sequenceRequest([1], { maxTokens: 60 }))),
      tokensOf(engine.submit(sequenceRequest([1], { adapter: { generation: "g1" }, maxTokens: 60 }))),
    ]);
    const lines = readFileSync(logPath, "utf8").trim().split("\n");
    const steps = lines
      .map((line) => line.split(" "))
      .map(([pid, begin, end]) => ({ pid, begin: BigInt(begin ?? 0), end: BigInt(end ?? 0) }))
      .sort((a, b) => (a.begin < b.begin ? -1 : 1));
    expect(steps.length).toBe(120);
    const pairs = steps.slice(1).map((step, i) => [steps[i]!, step] as const); // i is in range
    const numOverlaps = pairs.filter(([one, next]) => next.begin < one.end).length;
    expect(numOverlaps).toBe(0);
    // The first step of one may come before the other's request arrived; after that they take turns to the end.
    const numSwitches = pairs.filter(([one, next]) => one.pid !== next.pid).length;
    expect(numSwitches).toBeGreaterThan(100);
  });
});
