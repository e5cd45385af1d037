/** The supervisor, the client and the host with real processes; only the model in them is a toy. */
import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { StepStats } from "../../../src/engine/protocol.ts";
import { EngineProcesses } from "../../../src/engine/server/engine-processes.ts";
import type { AppError } from "../../../src/errors.ts";
import { sequenceRequest } from "../../helpers/engine/sequences.ts";
import { toyGreedy } from "../../helpers/engine/toy-runner.mjs";
import {
  ENTRY,
  SCRATCH,
  engineOptions,
  start,
  startReady,
  tokensOf,
  firstToken,
  until,
  livePid,
  isAlive,
  useToyEngines,
} from "../../helpers/engine/toy-engines.ts";

useToyEngines();

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
      draft: null,
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
      import { EngineProcesses } from ${JSON.stringify(dist("server/engine-processes.js"))};
      const engine = createEngine({ engine: ${JSON.stringify(engineOptions(endless))}, maxMerged: 0, processes: new EngineProcesses(new URL(${JSON.stringify(ENTRY.href)})) });
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

  it("reports why it could not start, keeps trying with growing pauses, and leaves the event loop alone", async () => {
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
    const engine = start({}, { processes: new EngineProcesses(pathToFileURL(join(SCRATCH, "nowhere.mjs"))) });
    await expect(engine.whenReady()).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(engine.readiness().isReady).toBe(false);
  });
});

describe("a process that was started ahead", () => {
  it("becomes the engine's", async () => {
    using processes = new EngineProcesses(ENTRY);
    const ahead = processes.startAhead();
    const engine = await startReady({}, { processes });
    expect(livePid(engine)).toBe(ahead);
    expect(await tokensOf(engine.submit(sequenceRequest([1])))).toEqual(toyGreedy([1], null, 4));
  });

  it("is replaced by another if it has ended before its engine is wanted", async () => {
    using processes = new EngineProcesses(ENTRY);
    const ahead = processes.startAhead()!;
    process.kill(ahead, "SIGKILL");
    await until(() => !isAlive(ahead));
    const engine = await startReady({}, { processes });
    expect(livePid(engine)).not.toBe(ahead);
  });

  it("ends if nobody wants it", async () => {
    const processes = new EngineProcesses(ENTRY);
    const ahead = processes.startAhead()!;
    processes[Symbol.dispose]();
    await until(() => !isAlive(ahead));
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
