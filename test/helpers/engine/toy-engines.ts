/** Engines as processes over a toy model, under a supervisor. They are stopped after each test. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll } from "vitest";
import type { MergeReport } from "../../../src/adapter/merge-report.ts";
import type { SequenceStream } from "../../../src/engine/engine.ts";
import type { EngineOptions } from "../../../src/engine/protocol.ts";
import { EngineProcesses } from "../../../src/engine/server/engine-processes.ts";
import { createEngine, type SupervisedEngine, type SupervisorOptions } from "../../../src/engine/server/supervisor.ts";
import { type ToyOptions } from "./toy-runner.mjs";

export const ENTRY = new URL("./toy-engine-process.mjs", import.meta.url);

export const SCRATCH = mkdtempSync(join(tmpdir(), "mosara-supervisor-"));

export const REPORT: MergeReport = { maxAbsLogitDifference: 0, kl: 0, seconds: 0 };

type ToyBase = ToyOptions & { openMs?: number; failsWhile?: string };

export function engineOptions(base: ToyBase): EngineOptions {
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

export function start(base: ToyBase = {}, overrides: Partial<SupervisorOptions> = {}): SupervisedEngine {
  const engine = createEngine({
    engine: engineOptions(base),
    maxMerged: 1,
    prepareMerged: (generation) => Promise.resolve(JSON.stringify({ ...base, generation })),
    measureMerge: () => Promise.resolve(REPORT),
    restartPolicy: { minMs: 50, maxMs: 400, healthyMs: 30_000 },
    processes: new EngineProcesses(ENTRY),
    ...overrides,
  });
  engines.push(engine);
  return engine;
}

export async function startReady(
  base: ToyBase = {},
  overrides: Partial<SupervisorOptions> = {},
): Promise<SupervisedEngine> {
  const engine = start(base, overrides);
  await engine.whenReady();
  return engine;
}

export async function tokensOf(stream: SequenceStream): Promise<number[]> {
  const tokens: number[] = [];
  for await (const event of stream) if (event.type === "token") tokens.push(event.tokenId);
  return tokens;
}

/** Reads the first token and leaves the stream running. */
export async function firstToken(stream: SequenceStream): Promise<AsyncIterator<unknown>> {
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  return reader;
}

export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

export function livePid(engine: SupervisedEngine): number {
  const [pid] = engine.pids();
  if (pid === undefined) throw new Error("no engine process");
  return pid;
}

/** Without a program of its own, as in helpers/server.ts: tests look at what holds right after an end. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Stops engines after each test, and removes what they wrote. */
export function useToyEngines(): void {
  beforeAll(() => {
    if (!existsSync(new URL("../../../dist/src/engine/process/engine-host.js", import.meta.url)))
      throw new Error("these tests fork the compiled engine: run `npm run build` first (`npm test` does)");
    mkdirSync(SCRATCH, { recursive: true }); // another file may have removed it
    return () => rmSync(SCRATCH, { recursive: true, force: true });
  });
  afterEach(async () => {
    await Promise.all(engines.splice(0).map((engine) => engine.stop(0)));
  });
}
