/**
 * Eight streams over HTTP, beside a training job of the same server and without it: how much later a token comes. The
 * job trains on one thread in a process of low priority, as jobs do by default. It pauses for the rounds without it.
 */
import { openBase } from "../../src/base/base.ts";
import { type PlannedRequest, planRequests } from "../client/draw.ts";
import { createJob, getJob, pauseJob, resumeJob, untilJob, uploadLines } from "../client/fine-tuning.ts";
import { runClosedLoop } from "../client/load.ts";
import { type BenchOptions, fewRounds, type WeightChoice } from "../options.ts";
import { type Figure, quantile, ratio } from "../report/figures.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { BASE_NAME, startServer } from "../processes/server-process.ts";
import { weightName } from "../inputs/work-folder.ts";

const NUM_STREAMS = 8;
const PROMPT_TOKENS = 32;
/** Characters of an example. A character is about a token of the random checkpoint. */
const EXAMPLE_LENGTH = 96;
const TRAINING = ["--max-training-jobs", "1", "--training-threads", "1"];

export const jobsScenario: Scenario = {
  name: "jobs",
  summary: "Time between the tokens of 8 streams, while a training job runs on the same server ÷ without the job.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

/** Of one round of streams. */
interface Pace {
  readonly p50: number;
  readonly p99: number;
}

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
  await using base = await openBase(baseDir);
  const { vocabSize } = base.manifest.config;
  return await folder.withScratch(async (scratch) => {
    await using server = await startServer(baseDir, scratch, options.numThreads, TRAINING);
    const job = await startJob(server.url);
    note(`measuring streams beside a training job on ${weightName(weights)}`);
    const [alone, beside]: [Pace[], Pace[]] = [[], []];
    const plan = planOf(vocabSize, options);
    for (let round = -1; round < fewRounds(options, 5); round++) {
      await untilStep(server.url, job);
      const busy = await paceOf(server.url, plan);
      const { status } = await pauseJob(server.url, job);
      if (status !== "paused") throw new Error(`The job is ${status} before the measurement ended.`);
      const quiet = await paceOf(server.url, plan);
      await resumeJob(server.url, job);
      if (round < 0) continue; // it does not count
      beside.push(busy);
      alone.push(quiet);
    }
    return figuresOf(weightName(weights), alone, beside);
  });
}

/** A job that outlasts every measurement. @returns its id */
async function startJob(url: string): Promise<string> {
  const lines = Array.from({ length: 64 }, (_, i) => JSON.stringify({ prompt: "", completion: exampleText(i) }));
  const settings = { hyperparameters: { batch_size: 1 }, mosara: { steps: 1_000_000 } };
  const body = { model: BASE_NAME, training_file: await uploadLines(url, lines), seed: 1, ...settings };
  return (await createJob(url, body)).id;
}

const exampleText = (index: number): string =>
  `${index} ${"abcdefgh ".repeat(EXAMPLE_LENGTH)}`.slice(0, EXAMPLE_LENGTH);

/** Resolves when the job has finished a step after now. */
async function untilStep(url: string, id: string): Promise<void> {
  const { step } = (await getJob(url, id)).mosara;
  await untilJob(url, id, (job) => job.mosara.step > step);
}

function planOf(vocabSize: number, { numTokens, isSmoke }: BenchOptions): readonly PlannedRequest[] {
  const promptTokens = { kind: "fixed", tokens: PROMPT_TOKENS } as const;
  const answerTokens = { kind: "fixed", tokens: isSmoke ? numTokens : 4 * numTokens } as const;
  return planRequests({ promptTokens, answerTokens, adapters: { kind: "none" }, vocabSize, seed: 5 }, NUM_STREAMS);
}

/** Gaps between the tokens of all streams, behind their first quarter, in which other streams' prompts are computed. */
async function paceOf(url: string, plan: readonly PlannedRequest[]): Promise<Pace> {
  const { outcomes } = await runClosedLoop({ url, model: BASE_NAME }, plan, plan.length);
  const gaps = outcomes.flatMap(({ pieceMs, error }) => {
    if (error) throw new Error(`A stream failed: ${error.message}`);
    const later = pieceMs.slice(Math.floor(pieceMs.length / 4));
    return later.slice(1).map((at, i) => at - (later[i] ?? NaN));
  });
  return { p50: quantile(gaps, 0.5), p99: quantile(gaps, 0.99) };
}

function figuresOf(name: string, alone: readonly Pace[], beside: readonly Pace[]): Figure[] {
  const p99 = (paces: readonly Pace[]): number[] => paces.map((pace) => pace.p99);
  const p50 = (paces: readonly Pace[]): number[] => paces.map((pace) => pace.p50);
  const figures: Figure[] = [
    ratio("time between tokens p99, beside a training job ÷ without", p99(beside), p99(alone), { atMost: 1.5 }, "jobs"),
    ratio("time between tokens p50, beside a training job ÷ without", p50(beside), p50(alone)),
    { what: `${NUM_STREAMS} streams, time between tokens p99`, unit: "ms", samples: p99(alone) },
    { what: `${NUM_STREAMS} streams beside a training job, time between tokens p99`, unit: "ms", samples: p99(beside) },
  ];
  return figures.map((figure) => ({ ...figure, what: `${name}: ${figure.what}` }));
}
