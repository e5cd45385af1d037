/**
 * Mixed load on any server, with lognormal lengths, as people's requests have. 16 clients use the base, one adapter, a
 * different one each, and adapters by Zipf's law, with and without a shared beginning of the prompts. Then requests
 * arrive at half of the measured rate, on the base and on those adapters.
 */
import type { AdapterDraw, PrefixShare, Workload } from "../client/draw.ts";
import { type Arrivals, loadVariant } from "../load-figures.ts";
import { type MeasuredServer, withServers } from "../processes/measured-server.ts";
import { type BenchOptions, fewRounds } from "../options.ts";
import { type Figure, median, ratio } from "../report/figures.ts";
import { measureInTurns } from "../rounds.ts";
import type { Scenario } from "../scenario.ts";

const NUM_CLIENTS = 16;
const NUM_REQUESTS = 32;
const NUM_ADAPTERS = 64;
/** Two of the engine's chunks, so that something of it can be kept, and four kinds of it. */
const PREFIX: PrefixShare = { tokens: 128, groups: 4 };

export const mixedScenario: Scenario = {
  name: "mixed",
  takesUrl: true,
  summary:
    "16 clients with lognormal lengths: on no adapter, 1, 16, or 64 by Zipf's law; shared prefixes; Poisson arrivals.",
  run: async (context) => await withServers(context, NUM_ADAPTERS, (server) => measure(server, context.options)),
};

async function measure(server: MeasuredServer, options: BenchOptions): Promise<readonly Figure[]> {
  const numRequests = options.isSmoke ? NUM_CLIENTS : NUM_REQUESTS;
  const { adapters, name, target } = server;
  const variantOf = (what: string, draw: AdapterDraw, arrivals: Arrivals, prefix?: PrefixShare) =>
    loadVariant(`${name}, ${what}`, target, workloadOf(server, options, draw, prefix), numRequests, arrivals);
  const clients = { numClients: NUM_CLIENTS };
  const zipf: AdapterDraw = { kind: "zipf", names: adapters, exponent: 1 };
  const [first] = adapters;
  const base = variantOf("no adapter", { kind: "none" }, clients);
  const others = [
    variantOf("no adapter, shared prefix", { kind: "none" }, clients, PREFIX),
    ...(first === undefined
      ? []
      : [
          variantOf("one adapter", { kind: "one", name: first }, clients),
          variantOf("an adapter each", { kind: "each", names: adapters.slice(0, NUM_CLIENTS) }, clients),
          variantOf(`Zipf over ${adapters.length} adapters`, zipf, clients),
        ]),
  ];
  const numRounds = fewRounds(options, 3);
  const of = await measureInTurns([base, ...others], numRounds);
  const [answers] = base.figures().filter(({ unit }) => unit === "requests/s");
  const half = { ratePerSecond: () => median(answers?.samples ?? []) / 2 };
  const open = [variantOf("arrivals at half of that, no adapter", { kind: "none" }, half)];
  if (first !== undefined) open.push(variantOf("arrivals at half of that, Zipf", zipf, half));
  await measureInTurns(open, numRounds);
  return [
    ...others.map((variant) => ratio(`${variant.name} ÷ no adapter`, of(variant.name), of(base.name))),
    ...[base, ...others, ...open].flatMap((variant) => variant.figures()),
  ];
}

function workloadOf(
  { vocabSize }: MeasuredServer,
  { numTokens }: BenchOptions,
  adapters: AdapterDraw,
  prefix?: PrefixShare,
): Workload {
  return {
    promptTokens: { kind: "lognormal", median: prefix ? prefix.tokens + 32 : 48, sigma: 0.6, max: 256 },
    answerTokens: { kind: "lognormal", median: Math.ceil(numTokens / 2), sigma: 0.6, max: 2 * numTokens },
    adapters,
    vocabSize,
    seed: 22,
    ...(prefix ? { prefix } : {}),
  };
}
