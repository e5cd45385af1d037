/**
 * `npm run soak`: a tiny model, thousands of adapters, and requests of every kind that arrive, disconnect and are
 * refused while adapters are replaced. Does anything stay behind? Prints the memory of both processes during the run,
 * under load and without garbage. At the end it prints the memory after all requests ÷ after the first thousand. Needs
 * /proc.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { encodeAdapter } from "../src/adapter/adapter-file.ts";
import { openBase } from "../src/base/base.ts";
import type { Manifest } from "../src/base/manifest.ts";
import { AppError } from "../src/errors.ts";
import { openAdapterStore } from "../src/store/adapter-store.ts";
import { SHARED } from "../src/store/tenant.ts";
import { nextUint32, type RandomState, seedRandom } from "../src/tensor/random.ts";
import { parseOptions } from "./options.ts";
import { childrenOf, memoryOf } from "./processes/process-memory.ts";
import { randomAdapter } from "./inputs/random-adapter.ts";
import { type Figure, markdownTable } from "./report/figures.ts";
import { circumstances } from "./report/circumstances.ts";
import { publish } from "./report/publish.ts";
import { type Server, startServer } from "./processes/server-process.ts";
import { sendSoakRequest, type SoakOutcome } from "./soak-request.ts";
import { WorkFolder } from "./inputs/work-folder.ts";

const HELP = `Usage: npm run soak -- [flags]

  --requests <n>        Requests in all (default: 100000).
  --adapters <n>        Adapters in the store (default: 10000).
  --clients <n>         Requests under way at once (default: 24).
  --work <dir>          Where the tiny base is kept (default: as for npm run bench).
  --publish             Add the results to load-tests/results and docs/benchmarks.md.
`;

/** Requests before the memory that all later memory is compared with. */
const NUM_WARM = 1000;
/** Parts of the rest, each followed by a pause and a look at the memory. */
const NUM_PARTS = 5;
/** How long the processes get to end what was under way, and to collect their garbage. */
const REST_MS = 1500;
/** Every so many requests an adapter is replaced. */
const REPLACE_EVERY = 20;
/** Much less than all adapters take, and full long before the first comparison. */
const ADAPTER_CACHE_BYTES = 2 ** 20;

interface SoakOptions {
  readonly numRequests: number;
  readonly numAdapters: number;
  readonly numClients: number;
  readonly work: readonly string[];
  readonly isPublished: boolean;
}

const note = (text: string): void => void process.stderr.write(`soak: ${text}\n`);

function soakOptions(args: readonly string[]): SoakOptions | null {
  const string = { type: "string" } as const;
  const options = {
    requests: string,
    adapters: string,
    clients: string,
    work: string,
    publish: { type: "boolean" },
    help: { type: "boolean" },
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) return null;
  const count = (name: "requests" | "adapters" | "clients", fallback: number): number => {
    const number = Number(values[name] ?? fallback);
    const least = name === "requests" ? NUM_WARM : 1;
    if (Number.isSafeInteger(number) && number >= least) return number;
    throw new AppError("usage", `--${name} must be a whole number of at least ${least}, found "${values[name]}".`);
  };
  return {
    numRequests: count("requests", 100_000),
    numAdapters: count("adapters", 10_000),
    numClients: count("clients", 24),
    work: values.work === undefined ? [] : ["--work", values.work],
    isPublished: values.publish === true,
  };
}

const adapterName = (i: number): string => `tenant-${String(i).padStart(6, "0")}`;
const below = (limit: number, random: RandomState): number => nextUint32(random) % limit;

async function fillStore(dir: string, manifest: Manifest, numAdapters: number): Promise<void> {
  await using store = await openAdapterStore(dir);
  for (let first = 0; first < numAdapters; first += 256) {
    const some = Array.from({ length: Math.min(256, numAdapters - first) }, (_, i) => first + i);
    await Promise.all(
      some.map((i) => store.namesOf(SHARED).put(adapterName(i), encodeAdapter(randomAdapter(manifest, i)))),
    );
  }
}

interface Sample {
  readonly numRequests: number;
  readonly seconds: number;
  /** Of the server and of the engine. */
  readonly own: readonly [number, number];
  readonly resident: readonly [number, number];
}

function sampleOf(pid: number, numRequests: number, startedAt: number): Sample {
  const [engine = 0] = childrenOf(pid);
  const both = [memoryOf(pid), memoryOf(engine)] as const;
  return {
    numRequests,
    seconds: (performance.now() - startedAt) / 1000,
    own: [both[0].ownBytes, both[1].ownBytes],
    resident: [both[0].residentBytes, both[1].residentBytes],
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

function describe({ numRequests, seconds, own, resident }: Sample): string {
  return `${numRequests} requests, ${seconds.toFixed(0)} s: own memory ${own.map(megabytes).join(" + ")} MB, resident ${resident.map(megabytes).join(" + ")} MB (server + engine)`;
}

/** Sends everything in parts, with a rest and a sample after the first thousand and after each part of what follows. */
async function sendAll(server: Server, manifest: Manifest, options: SoakOptions) {
  const { numRequests, numAdapters, numClients } = options;
  const outcomes = new Map<SoakOutcome, number>();
  const random = seedRandom(7);
  const startedAt = performance.now();
  let numStarted = 0;
  let numReplaced = 0;
  const sendOne = async (number: number): Promise<void> => {
    const name = adapterName(below(numAdapters, random));
    if (number % REPLACE_EVERY === 0)
      await server.putAdapter(name, encodeAdapter(randomAdapter(manifest, numAdapters + numReplaced++)));
    const outcome = await sendSoakRequest(server.url, number, name, manifest.config.vocabSize, random);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };
  const client = async (end: number): Promise<void> => {
    while (numStarted < end) await sendOne(numStarted++);
  };
  const samples: Sample[] = [];
  let workMs = 0;
  for (let part = 0; part <= NUM_PARTS; part++) {
    const end = Math.round(NUM_WARM + (part / NUM_PARTS) * (numRequests - NUM_WARM));
    const partStartedAt = performance.now();
    await Promise.all(Array.from({ length: numClients }, () => client(end)));
    workMs += performance.now() - partStartedAt;
    note(`under load: ${describe(sampleOf(server.pid, end, startedAt))}`);
    await sleep(REST_MS);
    for (const pid of [server.pid, ...childrenOf(server.pid)]) process.kill(pid, "SIGUSR2");
    await sleep(REST_MS);
    const sample = sampleOf(server.pid, end, startedAt);
    samples.push(sample);
    note(`held: ${describe(sample)}`);
  }
  return { outcomes, samples, numReplaced, seconds: workMs / 1000 };
}

type Result = Awaited<ReturnType<typeof sendAll>>;

function figuresOf({ outcomes, samples, numReplaced, seconds }: Result, options: SoakOptions): Figure[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) throw new Error("internal: a soak without samples");
  const sum = ([a, b]: readonly [number, number]): number => a + b;
  const figure = (what: string, unit: string, value: number): Figure => ({ what, unit, samples: [value] });
  return [
    {
      ...figure("memory of both after all ÷ after 1,000", "×", sum(last.own) / sum(first.own)),
      goal: { atMost: 1.05 },
      row: "soak",
    },
    figure("the server's", "×", last.own[0] / first.own[0]),
    figure("the engine's", "×", last.own[1] / first.own[1]),
    figure(
      "resident after all ÷ after 1,000, pages of the store included",
      "×",
      sum(last.resident) / sum(first.resident),
    ),
    figure("memory of both after all", "MB", sum(last.own) / 1e6),
    figure("requests", "", options.numRequests),
    ...[...outcomes]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([outcome, count]) => figure(`… ${outcome}`, "", count)),
    figure("adapters", "", options.numAdapters),
    figure("adapters replaced meanwhile", "", numReplaced),
    figure("requests/s", "", options.numRequests / seconds),
  ];
}

async function soak(options: SoakOptions): Promise<Figure[]> {
  const bench = parseOptions(["--smoke", ...options.work]);
  const baseDir = await new WorkFolder(bench, note).base({
    weights: { kind: "float32", blockSize: null },
    targets: "default",
  });
  const scratch = mkdtempSync(join(tmpdir(), "mosara-soak-"));
  try {
    await using base = await openBase(baseDir);
    note(`writing ${options.numAdapters} adapters`);
    await fillStore(join(scratch, "data"), base.manifest, options.numAdapters);
    // Both processes inherit it.
    process.env.NODE_OPTIONS = `--import ${new URL("./processes/collect-on-signal.js", import.meta.url).href}`;
    await using server = await startServer(baseDir, scratch, 1, ["--adapter-cache-bytes", String(ADAPTER_CACHE_BYTES)]);
    return figuresOf(await sendAll(server, base.manifest, options), options);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

try {
  const options = soakOptions(process.argv.slice(2));
  if (options === null) process.stdout.write(HELP);
  else {
    const results = [{ scenario: "soak", figures: await soak(options) }];
    process.stdout.write(markdownTable(results));
    if (options.isPublished)
      note(`published: ${publish(process.cwd(), await circumstances("npm run soak --"), results)}`);
  }
} catch (error) {
  process.stderr.write(`soak: ${error instanceof AppError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof AppError && error.code === "usage" ? 2 : 1;
}
