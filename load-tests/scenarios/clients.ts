/**
 * Closed-loop clients in growing numbers on any server: the gain of the server in larger batches, and the loss of each
 * client.
 */
import type { Workload } from "../client/draw.ts";
import { loadVariant } from "../load-figures.ts";
import { type MeasuredServer, withServers } from "../processes/measured-server.ts";
import { type BenchOptions, fewRounds } from "../options.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { measureInTurns } from "../rounds.ts";
import type { Scenario } from "../scenario.ts";

const CLIENTS = [1, 4, 16];
const REQUESTS_A_CLIENT = 2;

export const clientsScenario: Scenario = {
  name: "clients",
  takesUrl: true,
  summary: "1, 4 and 16 clients that wait for their answers, on any server: rates, percentiles, errors.",
  run: async (context) => await withServers(context, 0, (server) => measure(server, context.options)),
};

async function measure({ target, vocabSize, name }: MeasuredServer, options: BenchOptions): Promise<readonly Figure[]> {
  const workload: Workload = {
    promptTokens: { kind: "uniform", min: 16, max: 48 },
    answerTokens: { kind: "uniform", min: Math.ceil(options.numTokens / 2), max: options.numTokens },
    adapters: { kind: "none" },
    vocabSize,
    seed: 21,
  };
  const nameOf = (count: number): string => `${name}, ${count} ${count === 1 ? "client" : "clients"}`;
  const variants = CLIENTS.map((numClients) =>
    loadVariant(nameOf(numClients), target, workload, REQUESTS_A_CLIENT * numClients, { numClients }),
  );
  const of = await measureInTurns(variants, fewRounds(options, 3));
  const ratios = CLIENTS.slice(1).map((count) =>
    ratio(`${nameOf(count)} ÷ 1 client`, of(nameOf(count)), of(nameOf(1))),
  );
  return [...ratios, ...variants.flatMap((variant) => variant.figures())];
}
