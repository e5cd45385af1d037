/**
 * More requests than a server can answer: 2, 5 and 10 times its capacity, with requests that are worthless after their
 * deadline. The rate of whole answers is compared with the rate at just enough clients. The time until a refusal is
 * measured too.
 */
import type { Workload } from "../client/draw.ts";
import { planRequests } from "../client/draw.ts";
import { type LoadRun, runClosedLoop, runOpenLoop } from "../client/load.ts";
import type { Target } from "../client/stream.ts";
import { requireAnswers, summarize } from "../client/summary.ts";
import { fewRounds } from "../options.ts";
import { type Figure, quantile, ratio } from "../report/figures.ts";
import { measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { BASE_NAME, startServer } from "../processes/server-process.ts";

const NUM_CLIENTS = 16;
/** Requests that wait at most: four times the rows. */
const MAX_QUEUE = 64;
const FACTORS = [2, 5, 10];
/**
 * A deadline of so many times what a request takes when all rows are busy; those in the middle of the queue can just
 * keep it.
 */
const PATIENCE = 4;
/** How long requests come, in times of a request; the rest drains behind them. */
const ARRIVAL_TIMES = 8;
const SMOKE_ARRIVAL_TIMES = 2;
/** Answers refused in the queue's place, not for want of anything else. */
const IS_REFUSED: ReadonlySet<string> = new Set(["overloaded"]);

export const overloadScenario: Scenario = {
  name: "overload",
  summary: "Requests at 2, 5 and 10 times the rate that a server can answer: tokens/s of answers in time ÷ the peak.",
  run: async ({ folder, options, note }) => {
    const [weights] = options.weights;
    if (!weights) return [];
    const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
    return await folder.withScratch(async (scratch) => {
      const more = ["--max-queue", String(MAX_QUEUE)];
      await using server = await startServer(baseDir, scratch, options.numThreads, more);
      note("measuring what the server can do");
      const target: Target = { url: server.url, model: BASE_NAME };
      const workload: Workload = {
        promptTokens: { kind: "fixed", tokens: 16 },
        answerTokens: { kind: "uniform", min: Math.ceil(options.numTokens / 4), max: options.numTokens },
        adapters: { kind: "none" },
        vocabSize: options.shape.vocab,
        seed: 31,
      };
      return await measure({ target, workload, numRounds: fewRounds(options, 2), isSmoke: options.isSmoke, note });
    });
  },
};

interface Setup {
  readonly target: Target;
  readonly workload: Workload;
  readonly numRounds: number;
  readonly isSmoke: boolean;
  readonly note: BenchContext["note"];
}

async function measure({ target, workload, numRounds, isSmoke, note }: Setup): Promise<readonly Figure[]> {
  const perClient = isSmoke ? 2 : 6;
  const closed = async (seed: number): Promise<LoadRun> =>
    requireAnswers(
      await runClosedLoop(target, planRequests({ ...workload, seed }, perClient * NUM_CLIENTS), NUM_CLIENTS),
    );
  await closed(1); // a server that has just started is slower
  const capacity = summarize(await closed(2));
  const timeoutMs = Math.ceil(PATIENCE * capacity.endToEndMs.p50);
  const hurried: Target = { ...target, headers: { "x-request-timeout-ms": String(timeoutMs) } };
  const arrivalSeconds = ((isSmoke ? SMOKE_ARRIVAL_TIMES : ARRIVAL_TIMES) * capacity.endToEndMs.p50) / 1000;
  note(`it answers ${capacity.requestsPerSecond.toFixed(1)} requests/s; deadlines of ${timeoutMs} ms`);
  const refusals: number[] = [];
  const late: number[] = [];
  let seed = 100;
  const open = async (factor: number): Promise<number> => {
    const ratePerSecond = factor * capacity.requestsPerSecond;
    const planned = planRequests({ ...workload, seed: seed++ }, Math.ceil(ratePerSecond * arrivalSeconds));
    const run = await runOpenLoop(hurried, planned, { ratePerSecond, seed: seed++ });
    const refused = run.outcomes.filter(({ error }) => error !== null && IS_REFUSED.has(error.code));
    refusals.push(...refused.map(({ endMs, sendDelayMs }) => endMs - sendDelayMs));
    late.push(summarize(run).sendDelayMs.p99);
    return goodput(run);
  };
  const nameOf = (factor: number): string => `${factor} × what it can`;
  const of = await measureInTurns(
    [
      { name: "peak", measure: async () => goodput(await closed(seed++)) },
      ...FACTORS.map((factor) => ({ name: nameOf(factor), measure: async () => await open(factor) })),
    ],
    numRounds,
  );
  return [
    ...FACTORS.map((factor) =>
      ratio(`goodput at ${nameOf(factor)} ÷ peak`, of(nameOf(factor)), of("peak"), { atLeast: 0.9 }, "overload"),
    ),
    { what: "peak: 16 clients that wait for their answers", unit: "tokens/s", samples: of("peak") },
    { what: "deadline of a request", unit: "ms", samples: [timeoutMs] },
    { what: "time until a refusal, p99", unit: "ms", samples: [quantile(refusals, 0.99)] },
    { what: "requests refused at the door", unit: "", samples: [refusals.length] },
    { what: "how late the clients sent, p99", unit: "ms", samples: late },
  ];
}

/**
 * Tokens/s of whole answers. Over the time in which requests came or were worked on: a server that does not stop
 * between the last arrival and its last answer loses nothing by it.
 */
function goodput(run: LoadRun): number {
  return summarize(run).tokensPerSecond;
}
