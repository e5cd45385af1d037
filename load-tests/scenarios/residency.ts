/**
 * A store of 100,000 adapters, used at random on a server that keeps 1,000 of them ready, compared with one adapter:
 * first tokens, the time to start, memory, and lists. The adapters have few target layers, so that the store is written
 * in a minute. A ready adapter takes as much memory as any other adapter of the base.
 */
import { createHash } from "node:crypto";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import type { Manifest } from "../../src/base/manifest.ts";
import { openAdapterStore } from "../../src/store/adapter-store.ts";
import { SHARED } from "../../src/store/tenant.ts";
import { type PlannedRequest, planRequests } from "../client/draw.ts";
import { type LoadRun, runClosedLoop } from "../client/load.ts";
import { readServerLoad } from "../client/server-metrics.ts";
import { requireAnswers, summarize } from "../client/summary.ts";
import { type BenchOptions, fewRounds } from "../options.ts";
import { memoryOf } from "../processes/process-memory.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { BASE_NAME, type Server, startServer } from "../processes/server-process.ts";

const NUM_ADAPTERS = 100_000;
const NUM_SMOKE_ADAPTERS = 300;
const NUM_READY = 1000;
/** Of each adapter. */
const NUM_TARGETS = 2;
const NUM_CLIENTS = 4;
const PROMPT_TOKENS = 16;
const REQUESTS_A_ROUND = 100;
const WRITTEN_AT_ONCE = 512;
/** What decides how a store and its adapters look. */
const STORE_CODE = ["adapter", "formats", "store", "tensor"];

export const residencyScenario: Scenario = {
  name: "residency",
  isStandard: true,
  summary:
    "100,000 adapters, of which 1,000 are ready, drawn at random ÷ one adapter: first tokens, start, memory, lists.",
  run: async (context) => {
    const { folder, options } = context;
    const [weights] = options.weights;
    if (!weights) return [];
    const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
    const numAdapters = options.isSmoke ? NUM_SMOKE_ADAPTERS : NUM_ADAPTERS;
    return await folder.withScratch(async (scratch) => {
      await using base = await openBase(baseDir);
      const rowBytes = 4 * base.layout.groups.reduce((sum, { k, group }) => sum + k + group.dOut, 0);
      for (const [name, count] of [
        ["one", 1],
        ["many", numAdapters],
      ] as const)
        await cp(await writtenStore(context, base.manifest, count), join(scratch, name, "data"), { recursive: true });
      const start = async (name: "one" | "many"): Promise<Server> =>
        await startServer(baseDir, join(scratch, name), options.numThreads, [
          "--adapter-cache-bytes",
          String(NUM_READY * rowBytes),
        ]);
      const starts = await measureStarts(start, options);
      await using one = await start("one");
      await using many = await start("many");
      return [...starts, ...(await measureServers(context, one, many, numAdapters))];
    });
  },
};

const adapterName = (i: number): string => `tenant-${String(i).padStart(6, "0")}`;

/** A store of so many adapters for this base, kept between runs: writing 100,000 takes a minute. */
async function writtenStore({ folder, note }: BenchContext, manifest: Manifest, count: number): Promise<string> {
  const bases = createHash("sha256").update(manifest.targets.map(({ basisId }) => basisId).join());
  const name = `adapters-${bases.digest("hex").slice(0, 12)}-${count}`;
  return await folder.made(name, STORE_CODE, async (dir) => {
    note(`writing ${count} adapters`);
    await fillStore(dir, manifest, count);
  });
}

async function fillStore(dir: string, manifest: Manifest, numAdapters: number): Promise<void> {
  await using store = await openAdapterStore(dir);
  const few = { ...manifest, targets: manifest.targets.slice(0, NUM_TARGETS) };
  for (let first = 0; first < numAdapters; first += WRITTEN_AT_ONCE) {
    const some = Array.from({ length: Math.min(WRITTEN_AT_ONCE, numAdapters - first) }, (_, i) => first + i);
    await Promise.all(some.map((i) => store.namesOf(SHARED).put(adapterName(i), encodeAdapter(randomAdapter(few, i)))));
  }
}

/** Seconds until the ready line. */
async function measureStarts(
  start: (name: "one" | "many") => Promise<Server>,
  options: BenchOptions,
): Promise<readonly Figure[]> {
  const startAndStop = async (name: "one" | "many"): Promise<number> => {
    const startedAt = performance.now();
    await using server = await start(name);
    return server.pid > 0 ? (performance.now() - startedAt) / 1000 : NaN;
  };
  const of = await measureInTurns(
    (["one", "many"] as const).map((name) => ({ name, measure: async () => await startAndStop(name) })),
    fewRounds(options, 2),
  );
  const added = of("many").map((seconds, round) => seconds - (of("one")[round] ?? NaN));
  return [
    { what: "start with all − with one", unit: "s", samples: added, goal: { atMost: 2 } },
    { what: "start with one", unit: "s", samples: of("one") },
  ];
}

async function measureServers(
  { options, note }: BenchContext,
  one: Server,
  many: Server,
  numAdapters: number,
): Promise<readonly Figure[]> {
  note("measuring first tokens");
  const memoryBefore = memoryOf(many.pid).ownBytes;
  const firstTokens = await measureFirstTokens(one, many, numAdapters, options);
  return [
    ...firstTokens,
    ...(await measureLists(many, numAdapters)),
    { what: "memory of the server with one", unit: "MB", samples: [memoryOf(one.pid).ownBytes / 1e6] },
    { what: "memory of the server with all, at its start", unit: "MB", samples: [memoryBefore / 1e6] },
    { what: "memory of the server with all, after lists", unit: "MB", samples: [memoryOf(many.pid).ownBytes / 1e6] },
  ];
}

async function measureFirstTokens(
  one: Server,
  many: Server,
  numAdapters: number,
  options: BenchOptions,
): Promise<readonly Figure[]> {
  let seed = 1;
  const names = Array.from({ length: numAdapters }, (_, i) => adapterName(i));
  const p50s = new Map<string, number[]>([
    ["one", []],
    ["many", []],
  ]);
  const variant = (name: "one" | "many", { url }: Server) => {
    const run = async (count: number): Promise<LoadRun> => {
      const requests: readonly PlannedRequest[] = planRequests(
        {
          promptTokens: { kind: "fixed", tokens: PROMPT_TOKENS },
          answerTokens: { kind: "fixed", tokens: 4 },
          adapters: name === "one" ? { kind: "one", name: adapterName(0) } : { kind: "zipf", names, exponent: 0 },
          vocabSize: options.shape.vocab,
          seed: seed++,
        },
        count,
      );
      return requireAnswers(await runClosedLoop({ url, model: BASE_NAME }, requests, NUM_CLIENTS));
    };
    const measure = async (): Promise<number> => {
      const { p50, p99 } = summarize(await run(options.isSmoke ? 16 : REQUESTS_A_ROUND)).firstTokenMs;
      p50s.get(name)?.push(p50);
      return p99;
    };
    return { name, measure, warmUp: () => run(2 * NUM_CLIENTS) };
  };
  const of = await measureInTurns([variant("one", one), variant("many", many)], fewRounds(options, 5));
  const medians = (name: string): readonly number[] => p50s.get(name) ?? [];
  return [
    ratio(`first token p99, ${numAdapters} at random ÷ one`, of("many"), of("one"), { atMost: 1.1 }, "residency"),
    ratio("first token p50, the same", medians("many"), medians("one")),
    { what: "first token p99, one", unit: "ms", samples: of("one") },
    { what: "first token p99, all at random", unit: "ms", samples: of("many") },
  ];
}

/** How long lists take, and how long they keep the event loop. */
async function measureLists({ url }: Server, numAdapters: number): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  await readServerLoad(url); // a new window
  for (const path of ["adapters", "models"])
    for (const limit of [100, 10_000]) {
      const after = adapterName(Math.floor(numAdapters / 2));
      const samples: number[] = [];
      for (let i = 0; i < 3; i++)
        samples.push(
          1000 * (await secondsOf(async () => await readPage(`${url}/v1/${path}?limit=${limit}&after=${after}`))),
        );
      figures.push({ what: `GET /v1/${path}?limit=${limit} in the middle`, unit: "ms", samples });
    }
  const { eventLoopDelayP99Ms } = await readServerLoad(url);
  const delay = { what: "event-loop delay p99 under lists", unit: "ms", samples: [eventLoopDelayP99Ms ?? NaN] };
  return [...figures, { ...delay, goal: { atMost: 50 } }];
}

async function readPage(url: string): Promise<void> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  await response.text();
}
