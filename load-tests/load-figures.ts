/**
 * A variant that puts a load on a server, and the figures of its runs: rates, percentiles, errors, and the server's own
 * metrics.
 */
import { type Workload, planRequests } from "./client/draw.ts";
import { type LoadRun, runClosedLoop, runOpenLoop } from "./client/load.ts";
import { type ServerLoad, readServerLoad } from "./client/server-metrics.ts";
import type { Target } from "./client/stream.ts";
import { type LoadSummary, type Percentiles, summarize } from "./client/summary.ts";
import type { Figure } from "./report/figures.ts";
import type { Variant } from "./rounds.ts";

/** So many clients that wait for their answers, or arrivals at a rate that is known when the time comes. */
export type Arrivals = { readonly numClients: number } | { readonly ratePerSecond: () => number };

export interface LoadVariant extends Variant {
  readonly figures: () => readonly Figure[];
}

interface Measured {
  readonly summary: LoadSummary;
  readonly server: ServerLoad;
}

/** Its sample is tokens/s; every run draws other requests of the same workload. */
export function loadVariant(
  name: string,
  target: Target,
  workload: Workload,
  numRequests: number,
  arrivals: Arrivals,
): LoadVariant {
  const runs: Measured[] = [];
  let seed = workload.seed;
  const run = async (count: number): Promise<LoadRun> => {
    const requests = planRequests({ ...workload, seed: seed++ }, count);
    return "numClients" in arrivals
      ? await runClosedLoop(target, requests, arrivals.numClients)
      : await runOpenLoop(target, requests, { ratePerSecond: arrivals.ratePerSecond(), seed });
  };
  const measure = async (): Promise<number> => {
    await readServerLoad(target.url); // each reading starts a new window
    const summary = summarize(await run(numRequests));
    runs.push({ summary, server: await readServerLoad(target.url) });
    return summary.tokensPerSecond;
  };
  return { name, measure, warmUp: () => run(1), figures: () => figuresOf(name, runs) };
}

function figuresOf(name: string, runs: readonly Measured[]): readonly Figure[] {
  const figure = (what: string, unit: string, pick: (run: Measured) => number | null): Figure => ({
    what: `${name}: ${what}`,
    unit,
    samples: runs.map(pick).filter((value) => value !== null),
  });
  const percentiles = (what: string, pick: (summary: LoadSummary) => Percentiles): readonly Figure[] =>
    (["p50", "p90", "p99"] as const).map((key) => figure(`${what} ${key}`, "ms", ({ summary }) => pick(summary)[key]));
  const all = [
    figure("throughput", "tokens/s", ({ summary }) => summary.tokensPerSecond),
    figure("answers", "requests/s", ({ summary }) => summary.requestsPerSecond),
    ...percentiles("first token", (summary) => summary.firstTokenMs),
    ...percentiles("between tokens", (summary) => summary.interTokenMs),
    ...percentiles("end to end", (summary) => summary.endToEndMs),
    figure("errors", "requests", ({ summary }) => summary.numRequests - summary.numAnswered),
    figure("event-loop delay p99", "ms", ({ server }) => server.eventLoopDelayP99Ms),
    figure("memory of the HTTP process", "MB", ({ server: { residentBytes } }) => residentBytes && residentBytes / 1e6),
  ];
  return all.filter(({ samples }) => samples.some(Number.isFinite)); // a foreign server tells less, no answer no time
}
