/**
 * A long prompt admitted beside running streams, in an engine process of its own: how much it slows the streams, and
 * how much they slow it. The prompt is also measured alone in the same round. The cache is large enough for the prompt
 * beside all streams.
 */
import { join } from "node:path";
import { openBase } from "../../src/base/base.ts";
import { type RandomState, seedRandom } from "../../src/tensor/random.ts";
import { type DirectEngine, startEngine } from "../processes/engine-process.ts";
import { emptyStore } from "../engine-settings.ts";
import type { BenchOptions, WeightChoice } from "../options.ts";
import { randomIds } from "../inputs/random-values.ts";
import { type Figure, quantile, ratio } from "../report/figures.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { weightName } from "../inputs/work-folder.ts";

const NUM_STREAMS = 8;
const CHUNK_TOKENS = 64;
/** Chunks late in a prompt are this short. The streams must have a token for each. */
const LATE_CHUNK_TOKENS = 32;
const STREAM_PROMPT_TOKENS = 64;
/** Chunks at the end of the prompt whose median stands for the last one. */
const NUM_LAST = 4;

export const pacingScenario: Scenario = {
  name: "pacing",
  summary: "A prompt of 4096 tokens beside 8 streams ÷ each of the two alone.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

interface Round {
  /** Of the long prompt, to its first token. */
  readonly aloneMs: number;
  /** The last of its chunks without company, of `NUM_LAST`. */
  readonly lastChunkMs: number;
  readonly besideMs: number;
  /** Between tokens of the streams, before the prompt came and while it was prefilled. */
  readonly quietGaps: readonly number[];
  readonly busyGaps: readonly number[];
}

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: "none" });
  await using base = await openBase(baseDir);
  const { vocabSize } = base.manifest.config;
  return await folder.withScratch(async (scratch) => {
    const numPrompt = options.isSmoke ? 256 : 4096;
    const sizes = { maxModelLen: numPrompt + 1024, kvCacheBytes: 2 ** 32, usesPrefixCache: false };
    await using engine = await startEngine(baseDir, await emptyStore(join(scratch, "store")), options, sizes);
    note(`measuring the pace of ${weightName(weights)}`);
    const rounds: Round[] = [];
    const random = seedRandom(7);
    for (let round = 0; round < options.numRounds; round++)
      rounds.push(await measureRound(engine, numPrompt, vocabSize, random, options));
    return figuresOf(weightName(weights), rounds, numPrompt / CHUNK_TOKENS);
  });
}

async function measureRound(
  engine: DirectEngine,
  numPrompt: number,
  vocabSize: number,
  random: RandomState,
  { isSmoke }: BenchOptions,
): Promise<Round> {
  const ids = (count: number): Int32Array => Int32Array.from(randomIds(count, vocabSize, random));
  const prompt = ids(numPrompt);
  const chunksMs: number[] = [];
  const endListening = engine.onStep(({ phase, seconds }) => {
    if (phase === "prefill") chunksMs.push(1000 * seconds);
  });
  const startedAt = performance.now();
  const [alone = NaN] = await engine.times(prompt, 1);
  endListening();
  const aloneMs = alone - startedAt;
  const numQuiet = isSmoke ? 4 : 24;
  const numTokens = numQuiet + numPrompt / LATE_CHUNK_TOKENS;
  const streams = Array.from({ length: NUM_STREAMS }, () => engine.times(ids(STREAM_PROMPT_TOKENS), numTokens));
  // Each stream alone cannot say when all run; one beside them that ends early can.
  await engine.times(ids(STREAM_PROMPT_TOKENS), numQuiet);
  const arrivedAt = performance.now();
  const [first = NaN] = await engine.times(prompt, 1);
  const gaps = (await Promise.all(streams)).flatMap((times) =>
    times.slice(1).map((at, i) => ({ at, ms: at - (times[i] ?? NaN) })),
  );
  const quiet = gaps.filter(({ at }) => at < arrivedAt);
  return {
    aloneMs,
    lastChunkMs: quantile(chunksMs.slice(-NUM_LAST), 0.5),
    besideMs: first - arrivedAt,
    // Behind their own prompts, which come between the first steps.
    quietGaps: quiet.slice(Math.floor(quiet.length / 4)).map(({ ms }) => ms),
    busyGaps: gaps.filter(({ at }) => at > arrivedAt && at <= first).map(({ ms }) => ms),
  };
}

function figuresOf(name: string, rounds: readonly Round[], numChunks: number): Figure[] {
  const chunkMs = rounds.map(({ aloneMs }) => aloneMs / numChunks);
  const lastMs = rounds.map(({ lastChunkMs }) => lastChunkMs);
  const decodeMs = rounds.map(({ quietGaps }) => quantile(quietGaps, 0.5));
  const added = (share: number): number[] =>
    rounds.map(({ busyGaps }, i) => quantile(busyGaps, share) - (decodeMs[i] ?? NaN));
  const figures: Figure[] = [
    { what: "one 64-token chunk of the long prompt, alone", unit: "ms", samples: chunkMs },
    { what: `decode, ${NUM_STREAMS} streams, p50`, unit: "ms", samples: decodeMs },
    ratio(
      "(p99 between tokens while the prompt is prefilled − decode p50) ÷ a chunk",
      added(0.99),
      chunkMs,
      { atMost: 1.2 },
      "pacing",
    ),
    ratio("(p50 of the same − decode p50) ÷ a chunk", added(0.5), chunkMs),
    ratio("the prompt's last chunk, of 32 tokens, which attends to all before it, alone ÷ a chunk", lastMs, chunkMs),
    ratio("(p99 − decode p50) ÷ the last chunk alone", added(0.99), lastMs),
    ratio(
      "first token of the long prompt beside the streams ÷ alone",
      rounds.map(({ besideMs }) => besideMs),
      rounds.map(({ aloneMs }) => aloneMs),
      { atMost: 2 },
    ),
  ];
  return figures.map((figure) => ({ ...figure, what: `${name}: ${figure.what}` }));
}
