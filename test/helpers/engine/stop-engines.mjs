/**
 * Starts engines and ends them early, at times spread over their start; a program of its own, since what it looks for
 * ends a whole process. Arguments: the kind of end, a store's directory, how many. Prints "ended N" where all ended;
 * processes report to its stderr. Plain JavaScript over dist, because it runs without a compiler.
 */
import { fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AdapterLoader } from "../../../dist/src/engine/adapters/adapter-loader.js";
import { EngineProcesses } from "../../../dist/src/engine/server/engine-processes.js";
import { createEngine } from "../../../dist/src/engine/server/supervisor.js";

const [kind, storeDir, count] = process.argv.slice(2);
/** A file that is there: engines that fail while it is fail. */
const PROGRAM = fileURLToPath(import.meta.url);
const ENTRY = new URL("./toy-engine-process.mjs", import.meta.url);
const optionsOf = (base) => ({
  baseDir: JSON.stringify(base),
  storeDir,
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
  requiresBatchInvariance: false,
  takesAdapters: true,
});

function start(base = {}) {
  return createEngine({
    engine: optionsOf(base),
    maxMerged: 1,
    prepareMerged: (generation) => Promise.resolve(JSON.stringify({ ...base, generation })),
    measureMerge: () => Promise.resolve({ maxAbsLogitDifference: 0, kl: 0, seconds: 0 }),
    restartPolicy: { minMs: 1, maxMs: 50, healthyMs: 30_000 },
    processes: new EngineProcesses(ENTRY),
  });
}

function assertGone(pids) {
  for (const pid of pids) {
    let isThere = true;
    try {
      process.kill(pid, 0);
    } catch {
      isThere = false;
    }
    if (isThere) throw new Error(`process ${pid} is still there`);
  }
}

/** Waits, then stops an engine, twice at once. */
async function stopAfter(engine, delayMs) {
  await sleep(delayMs);
  const pids = engine.pids();
  await Promise.all([engine.stop(0), engine.stop(0)]);
  assertGone([...pids, ...engine.pids()]);
}

function startLoader() {
  const data = { layout: { groups: [], lowRank: [], totalK: 0 }, signature: { baseId: "", linears: new Map() } };
  return new AdapterLoader({ storeDir, ...data, maxLiveRank: 1, wantedFd: null });
}

/** Each starts one, waits and ends it. */
const KINDS = {
  /** The loader thread alone, in this process. */
  loader: async (delayMs) => {
    const loader = startLoader();
    await sleep(delayMs);
    await loader[Symbol.asyncDispose]();
  },
  /** The server stops. */
  stop: (delayMs) => stopAfter(start(), delayMs),
  /** It is stopped as soon as it serves: the loader thread has hardly begun. */
  ready: async (delayMs) => {
    const engine = start();
    await engine.whenReady();
    await stopAfter(engine, delayMs / 20);
  },
  /** The start fails, again and again, until the server stops. */
  failed: async (delayMs) => {
    const engine = start({ failsWhile: PROGRAM, openMs: delayMs / 10 });
    await engine.whenReady().then(
      () => Promise.reject(new Error("the toy must not start")),
      () => {},
    );
    await stopAfter(engine, delayMs / 2);
  },
  /** An adapter is merged while the server stops, or placed live again. */
  merged: async (delayMs, isOdd) => {
    const engine = start();
    await engine.whenReady();
    const merging = engine.merge("g1").catch(() => {});
    await sleep(delayMs);
    if (isOdd) await engine.unmerge("g1");
    await stopAfter(engine, 0);
    await merging;
  },
  /** The server's process is gone: the channel closes. */
  orphan: async (delayMs) => {
    const stdio = ["ignore", 2, 2, "ipc", "pipe"];
    const child = fork(ENTRY, { serialization: "advanced", stdio, execArgv: [] });
    child.stdio[4].on("error", () => {});
    const exited = new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
    child.send({ type: "engine-started", options: optionsOf({}) });
    await sleep(delayMs);
    child.disconnect();
    const end = await exited;
    if (end !== 0 && end !== "SIGKILL") throw new Error(`an orphan ended with ${end}`);
  },
};

/** What a start takes on this machine, so that ends fall on every stage of it. */
async function startTime() {
  const before = performance.now();
  if (kind === "loader") {
    const loader = startLoader();
    const replied = new Promise((resolve) => loader.onReply(resolve));
    loader.order({ generation: "none" });
    await replied;
    await loader[Symbol.asyncDispose]();
  } else {
    const engine = start();
    await engine.whenReady();
    await stopAfter(engine, 0);
  }
  return performance.now() - before;
}

const startMs = await startTime();
for (let i = 0; i < Number(count); i++) await KINDS[kind]((startMs * i) / Number(count), i % 2 === 1);
console.log(`ended ${count}`);
