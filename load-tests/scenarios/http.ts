/**
 * A real server and streaming clients beside it. It compares tokens/s of 1 and 16 clients with the same sequences given
 * to an engine process directly, and measures 16 clients with an adapter each. It also measures how soon a new adapter
 * answers, and how 64 streams affect the process that serves them. Tokens/s count from the first request to the last
 * token, prompts included. Prompts are new in every round.
 */
import { join } from "node:path";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import type { Manifest } from "../../src/base/manifest.ts";
import { type PlannedRequest, planRequests } from "../client/draw.ts";
import { type LoadRun, runClosedLoop } from "../client/load.ts";
import { readServerLoad } from "../client/server-metrics.ts";
import { type Target, streamRequest } from "../client/stream.ts";
import { requireAnswers, summarize } from "../client/summary.ts";
import { type DirectEngine, startEngine } from "../processes/engine-process.ts";
import { emptyStore } from "../engine-settings.ts";
import { type BenchOptions, type WeightChoice, fewRounds } from "../options.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { BASE_NAME, type Server, startServer } from "../processes/server-process.ts";
import { weightName } from "../inputs/work-folder.ts";

const NUM_CLIENTS = 16;
const PROMPT_TOKENS = 16;
/** Short, so that a first token's time is little else than the way to it. */
const UPLOAD_PROMPT_TOKENS = 8;
const NUM_UPLOADS = 24;
const NUM_STREAMS = 64;
const STREAM_TOKENS = 6;
/** What a new adapter may take to be read, beyond a twentieth of the first token's time. */
const READ_MS = 5;

export const httpScenario: Scenario = {
  name: "http",
  isStandard: true,
  summary:
    "Tokens/s of a server ÷ the engine driven directly, the time to first token of new adapters, and 64 streams.",
  run: async (context) => {
    const { weights } = context.options;
    // The way through HTTP does not depend on the weights: the first format stands for all.
    const [first] = weights;
    return first ? await measureWeights(context, first) : [];
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
  return await folder.withScratch(async (scratch) => {
    const more = ["--max-num-seqs", String(NUM_STREAMS)];
    await using server = await startServer(baseDir, scratch, options.numThreads, more);
    await using engine = await startEngine(baseDir, await emptyStore(join(scratch, "engine")), options);
    await using base = await openBase(baseDir);
    const { manifest } = base;
    note(`measuring a server on ${weightName(weights)}`);
    const figures = [
      ...(await measureThroughput(server, engine, manifest, options)),
      ...(await measureUploads(server, manifest, options)),
      ...(await measureStreams(server, manifest)),
    ];
    return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
  });
}

const targetOf = ({ url }: Server): Target => ({ url, model: BASE_NAME });

function requestsOf({ config }: Manifest, count: number, promptTokens: number, maxTokens: number, seed: number) {
  return planRequests(
    {
      promptTokens: { kind: "fixed", tokens: promptTokens },
      answerTokens: { kind: "fixed", tokens: maxTokens },
      adapters: { kind: "none" },
      vocabSize: config.vocabSize,
      seed,
    },
    count,
  );
}

/** An adapter for each client. @returns their names */
async function putAdapters(server: Server, manifest: Manifest): Promise<readonly string[]> {
  const names = Array.from({ length: NUM_CLIENTS }, (_, i) => `own-${i}`);
  for (const [i, name] of names.entries())
    await server.putAdapter(name, encodeAdapter(randomAdapter(manifest, 100 + i)));
  return names;
}

async function measureThroughput(
  server: Server,
  engine: DirectEngine,
  manifest: Manifest,
  options: BenchOptions,
): Promise<Figure[]> {
  const runs = new Map<string, LoadRun[]>();
  const adapters = await putAdapters(server, manifest);
  const overHttp = (name: string, count: number, names: readonly string[] = []): Variant => {
    let seed = 0;
    const run = async (maxTokens: number): Promise<LoadRun> => {
      const plain = requestsOf(manifest, count, PROMPT_TOKENS, maxTokens, seed++);
      const requests = plain.map((request, i) => ({ ...request, adapter: names[i] ?? null }));
      return requireAnswers(await runClosedLoop(targetOf(server), requests, count));
    };
    const measure = async (): Promise<number> => {
      const done = await run(options.numTokens);
      runs.set(name, [...(runs.get(name) ?? []), done]);
      return summarize(done).tokensPerSecond;
    };
    return { name, measure, warmUp: () => run(2) };
  };
  const of = await measureInTurns(
    [
      overHttp("1 client", 1),
      direct("1 sequence", 1, engine, manifest, options),
      overHttp("16 clients", NUM_CLIENTS),
      direct("16 sequences", NUM_CLIENTS, engine, manifest, options),
      overHttp("16 adapters", NUM_CLIENTS, adapters),
    ],
    fewRounds(options, 4),
  );
  return throughputFigures(of, runs);
}

/** The same sequences without HTTP, in tokens/s. */
function direct(
  name: string,
  count: number,
  engine: DirectEngine,
  manifest: Manifest,
  { numTokens }: BenchOptions,
): Variant {
  let seed = 0;
  const run = (maxTokens: number): Promise<unknown> =>
    Promise.all(
      requestsOf(manifest, count, PROMPT_TOKENS, maxTokens, seed++).map(({ promptIds }) =>
        engine.complete(Int32Array.from(promptIds), maxTokens),
      ),
    );
  const measure = async (): Promise<number> => (count * numTokens) / (await secondsOf(() => run(numTokens)));
  return { name, measure, warmUp: () => run(2) };
}

function throughputFigures(
  of: (name: string) => readonly number[],
  runs: ReadonlyMap<string, readonly LoadRun[]>,
): Figure[] {
  const percentile = (name: string, what: string, pick: (run: LoadRun) => number): Figure => ({
    what: `${what}, ${name}`,
    unit: "ms",
    samples: (runs.get(name) ?? []).map(pick),
  });
  return [
    { what: "1 client on the base", unit: "tokens/s", samples: of("1 client") },
    { what: "16 clients on the base", unit: "tokens/s", samples: of("16 clients") },
    ratio("16 clients ÷ 1 client, base", of("16 clients"), of("1 client")),
    ratio("1 client ÷ engine driven directly", of("1 client"), of("1 sequence")),
    ratio("16 clients ÷ engine driven directly", of("16 clients"), of("16 sequences"), { atLeast: 0.95 }, "http"),
    { what: "16 clients on 16 adapters", unit: "tokens/s", samples: of("16 adapters") },
    ratio("16 clients on 16 adapters ÷ on the base", of("16 adapters"), of("16 clients"), { atLeast: 0.9 }),
    percentile("1 client", "first token", (run) => summarize(run).firstTokenMs.p50),
    percentile("16 clients", "first token p50", (run) => summarize(run).firstTokenMs.p50),
    percentile("16 clients", "first token p99", (run) => summarize(run).firstTokenMs.p99),
    percentile("16 clients", "between tokens p50", (run) => summarize(run).interTokenMs.p50),
    percentile("16 clients", "between tokens p99", (run) => summarize(run).interTokenMs.p99),
    percentile("16 clients", "end to end p50", (run) => summarize(run).endToEndMs.p50),
  ];
}

/**
 * A new adapter's first token compared with that of an adapter that has answered before. They run in turns, and the
 * order of the two changes too, since samples differ by more than the measured effect. The upload has its own row.
 */
async function measureUploads(server: Server, manifest: Manifest, { isSmoke }: BenchOptions): Promise<Figure[]> {
  const uploads: number[] = [];
  const fresh: number[] = [];
  const resident: number[] = [];
  await server.putAdapter("resident", encodeAdapter(randomAdapter(manifest, 1)));
  const count = isSmoke ? 2 : NUM_UPLOADS;
  const requests = requestsOf(manifest, 2 * count + 2, UPLOAD_PROMPT_TOKENS, 1, 1000);
  const firstToken = async (index: number, adapter: string): Promise<number> => {
    const request: PlannedRequest = { ...(requests[index] ?? never()), adapter };
    const outcome = await streamRequest(targetOf(server), request);
    return requireAnswers({ seconds: 1, outcomes: [outcome] }).outcomes[0]?.firstTokenMs ?? NaN;
  };
  await firstToken(2 * count, "resident");
  await firstToken(2 * count + 1, "resident");
  for (let i = 0; i < count; i++) {
    const name = `new-${i}`;
    const bytes = encodeAdapter(randomAdapter(manifest, 1000 + i));
    if (i % 2 === 0) resident.push(await firstToken(2 * i, "resident"));
    uploads.push(1000 * (await secondsOf(() => server.putAdapter(name, bytes))));
    fresh.push(await firstToken(2 * i + 1, name));
    if (i % 2 === 1) resident.push(await firstToken(2 * i, "resident"));
  }
  const beyondReading = fresh.map((ms) => ms - READ_MS);
  return [
    { what: "first token of an adapter that has answered before", unit: "ms", samples: resident },
    { what: "upload of a new adapter", unit: "ms", samples: uploads },
    { what: "first token of a new adapter", unit: "ms", samples: fresh },
    { what: "first token, new − resident", unit: "ms", samples: fresh.map((ms, i) => ms - (resident[i] ?? NaN)) },
    ratio(`first token, (new − ${READ_MS} ms) ÷ resident`, beyondReading, resident, { atMost: 1.05 }, "upload"),
  ];
}

function never(): never {
  throw new Error("internal: a request that was not planned");
}

/** The event loop's delay and the memory of the process that serves 64 streams at once. */
async function measureStreams(server: Server, manifest: Manifest): Promise<Figure[]> {
  await readServerLoad(server.url); // each reading starts a new window
  const requests = requestsOf(manifest, NUM_STREAMS, PROMPT_TOKENS, STREAM_TOKENS, 2000);
  const run = requireAnswers(await runClosedLoop(targetOf(server), requests, NUM_STREAMS));
  const { eventLoopDelayP99Ms, residentBytes } = await readServerLoad(server.url);
  return [
    {
      what: "event-loop delay p99, 64 streams",
      unit: "ms",
      samples: [eventLoopDelayP99Ms ?? NaN],
      goal: { atMost: 50 },
      row: "event-loop",
    },
    { what: "memory of the HTTP process, 64 streams", unit: "MB", samples: [(residentBytes ?? NaN) / 1e6] },
    { what: "64 streams", unit: "tokens/s", samples: [summarize(run).tokensPerSecond] },
  ];
}
