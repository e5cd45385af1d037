/**
 * The processor time that choosing a token adds to a row, for each kind of request. It runs in this process on logits
 * of a vocabulary's length. The blocks' maxima are given, as a step gives them. Flat rows are the worst case, and
 * peaked rows are what models give.
 */
import { BLOCK_SIZE, blocksOf } from "../../src/engine/sampling/blocks.ts";
import { GREEDY } from "../../src/engine/engine.ts";
import type { WholeRow } from "../../src/engine/sampling/logit-rows.ts";
import { tokenLogprob } from "../../src/engine/sampling/logprobs.ts";
import type { SamplingParams } from "../../src/engine/protocol.ts";
import { chooseToken, createSamplerScratch } from "../../src/engine/sampling/sampler.ts";
import { createSamplingState } from "../../src/engine/sampling/sampling-state.ts";
import { nextNormal, seedRandom } from "../../src/tensor/random.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { Scenario } from "../scenario.ts";

const VOCAB_SIZE = 151_936;
const NUM_ROWS = 16;
/** Of one sample; the fastest counts, since others' work only ever adds. */
const NUM_RUNS = 10;
const PROMPT_TOKENS = 500;

/** As on requests with a bias or a penalty; without, the graph itself finds the best token. */
const GREEDY_CASE = "greedy, of a whole row";
const CASES: readonly (readonly [string, Partial<SamplingParams>])[] = [
  [GREEDY_CASE, {}],
  ["temperature 0.8", { temperature: 0.8 }],
  ["temperature 0.8, top_p 0.95", { temperature: 0.8, topP: 0.95 }],
  ["temperature 0.8, top_k 50, top_p 0.9", { temperature: 0.8, topK: 50, topP: 0.9 }],
  ["temperature 0.8, min_p 0.05", { temperature: 0.8, minP: 0.05 }],
  ["temperature 0.8, top_p 0.95, penalty", { temperature: 0.8, topP: 0.95, repetitionPenalty: 1.1 }],
];
const LOGPROBS = "log-probabilities, 5 alternatives";
const ROWS = [
  ["flat", 0],
  ["peaked", 40],
] as const;

export const samplingScenario: Scenario = {
  name: "sampling",
  summary:
    "Processor time of choosing a token, with temperature, top_k, top_p, penalties and log-probabilities, and greedily.",
  run: async ({ options }) => {
    const figures: Figure[] = [];
    for (const [name, numLifted] of ROWS)
      figures.push(...(await measureRows(name, randomRows(numLifted), options.numRounds)));
    return figures;
  },
};

async function measureRows(name: string, rows: readonly WholeRow[], numRounds: number): Promise<Figure[]> {
  const scratch = createSamplerScratch(VOCAB_SIZE);
  const promptIds = Int32Array.from({ length: PROMPT_TOKENS }, (_, i) => i * 97);
  const choosing = CASES.map(([what, params]): Variant => {
    const states = rows.map((_, row) => createSamplingState({ ...GREEDY, ...params, seed: row }, promptIds));
    const work = (row: WholeRow, i: number): unknown => chooseToken(row, states[i]!, [], scratch); // a state a row
    return { name: what, measure: () => leastMsPerRow(rows, work) };
  });
  const scoring: Variant = {
    name: LOGPROBS,
    measure: () => leastMsPerRow(rows, (row) => tokenLogprob(row, 5, 5, scratch)),
  };
  const of = await measureInTurns([...choosing, scoring], numRounds);
  const others = [...choosing.slice(1), scoring].map((one) => one.name);
  return [
    ...[...choosing, scoring].map((one): Figure => ({
      what: `${name}: ${one.name}`,
      unit: "ms/row",
      samples: of(one.name),
    })),
    ...others.map((what) => ratio(`${name}: ${what} ÷ greedy`, of(what), of(GREEDY_CASE))),
  ];
}

function leastMsPerRow(rows: readonly WholeRow[], work: (row: WholeRow, index: number) => unknown): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < NUM_RUNS; run++) {
    const before = process.cpuUsage();
    rows.forEach(work);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return Promise.resolve(least / rows.length);
}

/** Normally distributed logits with spread 2, `numLifted` of each row far above the others. */
function randomRows(numLifted: number): readonly WholeRow[] {
  const random = seedRandom(1);
  return Array.from({ length: NUM_ROWS }, (_, row): WholeRow => {
    const logits = Float32Array.from({ length: VOCAB_SIZE }, () => 2 * nextNormal(random));
    for (let i = 0; i < numLifted; i++) logits[(i * 7919 + row * 104_729) % VOCAB_SIZE] = 22 - i / 3;
    const plain: WholeRow = { kind: "whole", logits, maxima: null, blockSize: BLOCK_SIZE };
    return { ...plain, maxima: blocksOf(plain, new Float32Array(VOCAB_SIZE)).maxima };
  });
}
