/**
 * Servers with `--store` on a bucket of many names. First tokens of a server that has none of 100,000 adapters, drawn
 * by Zipf's law, compared with a server that has all of them that are asked for. Then starts and memory with few and
 * many names.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openBase } from "../../../src/base/base.ts";
import type { Manifest } from "../../../src/base/manifest.ts";
import { pointerKey } from "../../../src/store/published/pointer.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { type PlannedRequest, planRequests } from "../../client/draw.ts";
import { runClosedLoop } from "../../client/load.ts";
import { requireAnswers, summarize } from "../../client/summary.ts";
import { type BenchOptions, fewRounds } from "../../options.ts";
import { childrenOf, memoryOf } from "../../processes/process-memory.ts";
import { BASE_NAME, type Server, startServer } from "../../processes/server-process.ts";
import { type Figure, quantile, ratio } from "../../report/figures.ts";
import { measureInTurns, secondsOf } from "../../rounds.ts";
import type { Scenario } from "../../scenario.ts";
import { adapterName, fileDrawer, FilledBucket } from "./filled-bucket.ts";

const DEMO = fileURLToPath(new URL("../../../../models/demo", import.meta.url));
const NUM_CLIENTS = 8;
const PROMPT_TOKENS = 16;
const ANSWER_TOKENS = 4;
/** The last names are not drawn. They warm up the code of both servers. */
const NUM_WARM = 64;

/** Numbers of names, and of requests of a sample. */
const FULL = { few: 1000, many: 100_000, listed: 1_000_000, requests: 800 };
const SMOKE: typeof FULL = { few: 100, many: 200, listed: 300, requests: 16 };

export const storeScenario: Scenario = {
  name: "store",
  summary:
    "Time to first token with 100,000 adapters in a bucket ÷ all local. Start and memory by the number of adapters.",
  run: async (context) => {
    const { folder, options, note } = context;
    const numbers = options.isSmoke ? SMOKE : FULL;
    await mkdir(options.workDir, { recursive: true });
    await using base = await openBase(DEMO);
    await using bucket = await FilledBucket.open(join(options.workDir, "seaweedfs"), note);
    const buildSeconds = await secondsOf(async () => {
      for (const count of [numbers.few, numbers.many])
        await bucket.fillAdapters(`of-${count}`, count, fileDrawer(base.manifest));
      await bucket.fillNames(`of-${numbers.listed}`, numbers.listed);
    });
    folder.countBuild(buildSeconds);
    return await folder.withScratch(async (scratch) => {
      const bench = new StoreBench(options, { bucket, manifest: base.manifest, numbers, scratch });
      return [...(await bench.firstTokens()), ...(await bench.starts()), ...(await bench.memory())];
    });
  },
};

interface Parts {
  readonly bucket: FilledBucket;
  readonly manifest: Manifest;
  readonly numbers: typeof FULL;
  readonly scratch: string;
}

class StoreBench {
  readonly #parts: Parts;
  readonly #options: BenchOptions;
  #numStarted = 0;

  constructor(options: BenchOptions, parts: Parts) {
    this.#parts = parts;
    this.#options = options;
  }

  async firstTokens(): Promise<readonly Figure[]> {
    const { numbers, scratch } = this.#parts;
    const samples = { store: [] as number[], local: [] as number[], trip: [] as number[], shares: [] as number[] };
    for (let round = 0; round < fewRounds(this.#options, 5); round++) {
      const folder = join(scratch, `first-tokens-${round}`);
      const requests = this.#plan(round + 1);
      samples.shares.push(new Set(requests.map(({ adapter }) => adapter)).size / requests.length);
      const measure = async (start: () => Promise<Server>): Promise<number> => {
        await using server = await start();
        await this.#ask(server, this.#warmUp());
        return await this.#ask(server, requests);
      };
      samples.store.push(await measure(async () => await this.#startWithStore(numbers.many, folder)));
      samples.trip.push(await this.#roundTrip());
      // The same names, of which the folder now has copies.
      samples.local.push(await measure(async () => await startServer(DEMO, folder, this.#options.numThreads)));
    }
    const beyond = samples.store.map((ms, round) => ms - (samples.trip[round] ?? NaN));
    return [
      ratio(
        "first token p99, (none local − one round trip) ÷ all local",
        beyond,
        samples.local,
        { atMost: 1.3 },
        "store",
      ),
      { what: "first token p99, none local", unit: "ms", samples: samples.store },
      { what: "first token p99, all local", unit: "ms", samples: samples.local },
      { what: "round trip to the store, median", unit: "ms", samples: samples.trip },
      { what: "requests that found no local copy", unit: "×", samples: samples.shares },
    ];
  }

  /** Seconds until the ready line, with an empty cache. */
  async starts(): Promise<readonly Figure[]> {
    const { few, many, listed } = this.#parts.numbers;
    const start = (count: number) => ({
      name: String(count),
      warmUp: async () => {}, // the servers before have done it
      measure: async () => {
        const startedAt = performance.now();
        await using server = await this.#startWithStore(count);
        return server.pid > 0 ? (performance.now() - startedAt) / 1000 : NaN;
      },
    });
    const of = await measureInTurns([few, many, listed].map(start), fewRounds(this.#options, 5));
    return [
      ratio(`start, ${many} ÷ ${few} adapters`, of(String(many)), of(String(few)), { atMost: 1.05 }),
      { what: `start, ${few} adapters`, unit: "s", samples: of(String(few)) },
      { what: `start, ${listed} names`, unit: "s", samples: of(String(listed)), goal: { atMost: 2 } },
    ];
  }

  /** Of the server and its engine, after as many different adapters. */
  async memory(): Promise<readonly Figure[]> {
    const { few, many } = this.#parts.numbers;
    const names = Array.from({ length: few - NUM_WARM }, (_, i) => adapterName(i));
    const measure = async (count: number): Promise<number> => {
      await using server = await this.#startWithStore(count);
      await this.#ask(server, planRequests({ ...this.#workload(1), adapters: { kind: "each", names } }, names.length));
      const pids = [server.pid, ...childrenOf(server.pid)];
      return pids.reduce((sum, pid) => sum + memoryOf(pid).ownBytes, 0) / 1e6;
    };
    const of = await measureInTurns(
      [few, many].map((count) => ({
        name: String(count),
        warmUp: async () => {}, // a process of its own has nothing to warm up
        measure: async () => await measure(count),
      })),
      fewRounds(this.#options, 3),
    );
    return [
      ratio(`memory after ${names.length} of ${many} ÷ of ${few} adapters`, of(String(many)), of(String(few)), {
        atMost: 1.05,
      }),
      { what: `memory after ${names.length} of ${few} adapters`, unit: "MB", samples: of(String(few)) },
    ];
  }

  /** A server that has no copies yet. */
  async #startWithStore(count: number, folder = this.#newFolder()): Promise<Server> {
    const { bucket } = this.#parts;
    const flags = ["--store", bucket.urlOf(`of-${count}`)];
    return await startServer(DEMO, folder, this.#options.numThreads, flags, bucket.env);
  }

  #newFolder(): string {
    return join(this.#parts.scratch, `server-${this.#numStarted++}`);
  }

  /** p99 of the first tokens, in milliseconds. */
  async #ask({ url }: Server, requests: readonly PlannedRequest[]): Promise<number> {
    // Made-up adapters also choose tokens without text, so the ids say when a token has come.
    const fieldsOf = () => ({ return_token_ids: true });
    const run = await runClosedLoop({ url, model: BASE_NAME, fieldsOf }, requests, NUM_CLIENTS);
    return summarize(requireAnswers(run)).firstTokenMs.p99;
  }

  #workload(seed: number) {
    return {
      promptTokens: { kind: "fixed", tokens: PROMPT_TOKENS },
      answerTokens: { kind: "fixed", tokens: ANSWER_TOKENS },
      vocabSize: this.#parts.manifest.config.vocabSize,
      seed,
    } as const;
  }

  #plan(seed: number): readonly PlannedRequest[] {
    const { many, requests } = this.#parts.numbers;
    const names = Array.from({ length: many - NUM_WARM }, (_, i) => adapterName(i));
    return planRequests({ ...this.#workload(seed), adapters: { kind: "zipf", names, exponent: 1 } }, requests);
  }

  #warmUp(): readonly PlannedRequest[] {
    const { many } = this.#parts.numbers;
    const names = Array.from({ length: NUM_WARM }, (_, i) => adapterName(many - 1 - i));
    return planRequests({ ...this.#workload(0), adapters: { kind: "each", names } }, NUM_WARM);
  }

  /** Median time of reading a name, by as many clients at once, in milliseconds. */
  async #roundTrip(): Promise<number> {
    const { bucket, numbers } = this.#parts;
    const objects = bucket.objectsOf(`of-${numbers.many}`);
    const times: number[] = [];
    const client = async (first: number): Promise<void> => {
      for (let i = first; i < numbers.requests / 4; i += NUM_CLIENTS) {
        const key = pointerKey({ tenant: SHARED, name: adapterName((i * 7919) % numbers.many) });
        const startedAt = performance.now();
        await objects.get(key, { maxBytes: 2 ** 20 });
        times.push(performance.now() - startedAt);
      }
    };
    await Promise.all(Array.from({ length: NUM_CLIENTS }, (_, i) => client(i)));
    return quantile(times, 0.5);
  }
}
