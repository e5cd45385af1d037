/**
 * A real server and streaming clients beside it: tokens/s and time to first token of 1 and 16 clients, on the base and on
 * adapters of their own; the same sequences given to an engine process directly; how soon a new adapter answers.
 * Tokens/s count from the first request to the last token, prompts included.
 */
import { join } from "node:path";
import { openBase } from "../../src/base/base.ts";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { type DirectEngine, startEngine } from "../engine-process.ts";
import { emptyStore } from "../engine-settings.ts";
import type { BenchOptions, WeightChoice } from "../options.ts";
import { randomAdapter } from "../random-adapter.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { randomIds } from "../random-values.ts";
import { type Figure, median, quantile, ratio } from "../report.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { BASE_NAME, type Server, startServer } from "../server-process.ts";
import { weightName } from "../work-folder.ts";

const NUM_CLIENTS = 16;
const PROMPT_TOKENS = 32;
const NUM_UPLOADS = 8;
const LOOP_DELAY_P99 = 'mosara_event_loop_delay_seconds{quantile="0.99"}';

export const httpScenario: Scenario = {
  name: "http",
  isStandard: true,
  summary:
    "Streaming clients of a real server: tokens/s, first tokens, new adapters, against the engine driven directly.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
  return await folder.withScratch(async (scratch) => {
    await using server = await startServer(baseDir, scratch, options.numThreads);
    await using engine = await startEngine(baseDir, await emptyStore(join(scratch, "engine")), options);
    await using base = await openBase(baseDir);
    const { manifest } = base;
    const adapterBytes = (seed: number): Uint8Array => encodeAdapter(randomAdapter(manifest, seed));
    for (let client = 0; client < NUM_CLIENTS; client++)
      await server.putAdapter(adapterName(client), adapterBytes(client + 1));
    note(`measuring a server on ${weightName(weights)}`);
    const prompts = clientPrompts(manifest.config.vocabSize);
    const figures = [
      ...(await measureThroughput(server, engine, prompts, options)),
      ...(await measureUploads(server, prompts[0] ?? [], options, adapterBytes)),
    ];
    return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
  });
}

const adapterName = (client: number): string => `adapter-${client}`;

function clientPrompts(vocabSize: number): readonly (readonly number[])[] {
  const random = seedRandom(4);
  return Array.from({ length: NUM_CLIENTS }, () => [...randomIds(PROMPT_TOKENS, vocabSize, random)]);
}

type Prompts = readonly (readonly number[])[];

async function measureThroughput(
  server: Server,
  engine: DirectEngine,
  prompts: Prompts,
  { numRounds, numTokens }: BenchOptions,
): Promise<Figure[]> {
  const firstTokens = new Map<string, number[]>();
  const delays: number[] = [];
  const overHttp = (name: string, numClients: number, modelOf: (client: number) => string): Variant => ({
    name,
    measure: async () => {
      await server.metric(LOOP_DELAY_P99); // each scrape starts a new window
      const startedAt = performance.now();
      const answers = await Promise.all(
        prompts.slice(0, numClients).map((prompt, client) => server.complete(modelOf(client), prompt, numTokens)),
      );
      const seconds = (performance.now() - startedAt) / 1000;
      if (numClients === NUM_CLIENTS) delays.push(1000 * (await server.metric(LOOP_DELAY_P99)));
      const times = firstTokens.get(name) ?? [];
      firstTokens.set(name, [...times, median(answers.map(({ firstTokenMs }) => firstTokenMs))]);
      return answers.reduce((sum, answer) => sum + answer.numTokens, 0) / seconds;
    },
  });
  const direct = (name: string, numClients: number): Variant => ({
    name,
    measure: async () => {
      const startedAt = performance.now();
      const ids = prompts.slice(0, numClients).map((prompt) => Int32Array.from(prompt));
      const counts = await Promise.all(ids.map((promptIds) => engine.complete(promptIds, numTokens)));
      return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - startedAt) / 1000);
    },
  });
  const of = await measureInTurns(
    [
      overHttp("1 client", 1, () => BASE_NAME),
      direct("1 sequence", 1),
      overHttp("16 clients", NUM_CLIENTS, () => BASE_NAME),
      direct("16 sequences", NUM_CLIENTS),
      overHttp("16 adapters", NUM_CLIENTS, adapterName),
    ],
    numRounds,
  );
  // The first round does not count, here as there.
  const firstTokenOf = (name: string): number[] => (firstTokens.get(name) ?? []).slice(1);
  return [
    { what: "1 client on the base", unit: "tokens/s", samples: of("1 client") },
    { what: "16 clients on the base", unit: "tokens/s", samples: of("16 clients") },
    ratio("16 clients ÷ 1 client, base", of("16 clients"), of("1 client")),
    ratio("16 clients on 16 adapters (q,v) ÷ on the base", of("16 adapters"), of("16 clients")),
    ratio("1 client ÷ engine driven directly", of("1 client"), of("1 sequence")),
    ratio("16 clients ÷ engine driven directly", of("16 clients"), of("16 sequences")),
    { what: "first token, 1 client on the base", unit: "ms", samples: firstTokenOf("1 client") },
    { what: "first token, 16 clients at once (median client)", unit: "ms", samples: firstTokenOf("16 clients") },
    { what: "first token, 16 clients on 16 adapters", unit: "ms", samples: firstTokenOf("16 adapters") },
    {
      what: "event-loop delay p99, 16 streams",
      unit: "ms",
      samples: [quantile(delays.slice(1), 1)],
      goal: { atMost: 50 },
    },
  ];
}

/** A new adapter's first token beside that of one that has answered before, in turns. */
async function measureUploads(
  server: Server,
  prompt: readonly number[],
  { isSmoke }: BenchOptions,
  adapterBytes: (seed: number) => Uint8Array,
): Promise<Figure[]> {
  const uploads: number[] = [];
  const fresh: number[] = [];
  const resident: number[] = [];
  for (let i = 0; i < (isSmoke ? 1 : NUM_UPLOADS); i++) {
    const bytes = adapterBytes(1000 + i);
    resident.push((await server.complete(adapterName(0), prompt, 1)).firstTokenMs);
    const startedAt = performance.now();
    await server.putAdapter(`new-${i}`, bytes);
    uploads.push(performance.now() - startedAt);
    fresh.push((await server.complete(`new-${i}`, prompt, 1)).firstTokenMs);
  }
  const added = fresh.map((ms, i) => ms - (resident[i] ?? NaN));
  return [
    { what: "first token of an adapter that has answered before", unit: "ms", samples: resident },
    { what: "upload of a new adapter", unit: "ms", samples: uploads },
    { what: "first token of a new adapter", unit: "ms", samples: fresh },
    { what: "first token, new − resident", unit: "ms", samples: added, goal: { atMost: 5 } },
  ];
}
