/**
 * One client's tokens/s with a draft model ÷ without, on text that repeats little. `--trained` is the base and
 * `--draft` its draft model, both base directories. Without them, the base is the demo with layers that change nothing,
 * and the demo guesses. All guesses are then right, so the figures are the most that a draft model of this relative
 * size gains.
 */
import { join } from "node:path";
import { buildBase } from "../../../src/base/build/build.ts";
import type { EngineOptions, StepStats } from "../../../src/engine/protocol.ts";
import { AppError } from "../../../src/errors.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { emptyStore } from "../../engine-settings.ts";
import { growCheckpoint } from "../../inputs/grown-checkpoint.ts";
import { trainedModel } from "../../inputs/trained.ts";
import type { BenchOptions } from "../../options.ts";
import { type DirectEngine, startEngine } from "../../processes/engine-process.ts";
import { type Figure, ratio } from "../../report/figures.ts";
import { measureInTurns } from "../../rounds.ts";
import type { BenchContext, Scenario } from "../../scenario.ts";

const MAX_DRAFT = 8;
const MAX_TOKENS = 96;
/** Layers that are added to the five of the demo. */
const MORE_LAYERS = 35;

const PROMPTS = [
  "Once upon a time, in a small town by the sea, there lived",
  "The three most important causes of the French Revolution were",
  "To bake bread at home, first",
  "The difference between a virus and a bacterium is that",
];

/** A base and the model that guesses for it, as base directories. */
interface Pair {
  readonly baseDir: string;
  readonly draftDir: string;
  readonly name: string;
}

export const draftModelScenario: Scenario = {
  name: "draft",
  summary: "One client with --draft-model ÷ without: --trained and --draft, or the demo and its grown copy.",
  run: measureDraftModel,
};

async function measureDraftModel({ folder, options, note }: BenchContext): Promise<Figure[]> {
  return await folder.withScratch(async (scratch) => {
    const { baseDir, draftDir, name } = await pairOf(options, scratch);
    const storeDir = await emptyStore(join(scratch, "store"));
    const start = (more: Partial<EngineOptions>) => startEngine(baseDir, storeDir, options, more);
    await using plain = await start({});
    await using text = await start({ maxDraft: MAX_DRAFT });
    await using drafting = await start({ maxDraft: MAX_DRAFT, draftDir });
    const steps = new Guesses(drafting);
    const tokenizer = await loadTokenizer(baseDir);
    note("measuring the draft model");
    const prompts = PROMPTS.map((prompt) => Int32Array.from(tokenizer.encode(prompt)));
    const of = await measureInTurns(
      Object.entries({ plain, text, drafting }).map(([variant, engine]) => ({
        name: variant,
        measure: () => tokensPerSecond(engine, prompts),
      })),
      options.numRounds,
    );
    return [
      { what: `${name}: one client, without speculation`, unit: "tokens/s", samples: of("plain") },
      ratio(`${name}: guesses from text alone ÷ without`, of("text"), of("plain")),
      ratio(`${name}: with the draft model ÷ without`, of("drafting"), of("plain")),
      { what: `${name}: guesses of the draft model that were right`, unit: "", samples: [steps.shareRight] },
      { what: `${name}: time of a guess ÷ time of a step`, unit: "×", samples: [steps.guessCost] },
    ];
  });
}

async function pairOf(options: BenchOptions, scratch: string): Promise<Pair> {
  const { trainedDir, draftDir, threshold, numThreads } = options;
  if (trainedDir !== null && draftDir !== null) return { baseDir: trainedDir, draftDir, name: "pair" };
  if (trainedDir !== null || draftDir !== null)
    throw new AppError("usage", "The scenario draft needs both --trained and --draft, or neither of them.");
  const demo = trainedModel(options);
  const baseDir = join(scratch, "base");
  const checkpoint = await growCheckpoint(demo, join(scratch, "grown"), MORE_LAYERS);
  const more = { targets: "none", maxRank: null, basisFrom: null, isSlim: true } as const;
  await buildBase(checkpoint, baseDir, { weights: "float32", blockSize: null, threshold, numThreads, ...more });
  return { baseDir, draftDir: demo, name: "bound" };
}

/** The steps of an engine with a draft model. */
class Guesses {
  #numDrafted = 0;
  #numAccepted = 0;
  #guessSeconds = 0;
  #stepSeconds = 0;
  #numSteps = 0;

  constructor(engine: DirectEngine) {
    engine.onStep((stats) => this.#note(stats));
  }

  get shareRight(): number {
    return this.#numAccepted / this.#numDrafted;
  }

  /** Includes what the draft model reads anew of the text. */
  get guessCost(): number {
    return this.#guessSeconds / this.#numDrafted / (this.#stepSeconds / this.#numSteps);
  }

  #note({ phase, seconds, draftSource, draftSeconds, numDrafted, numAccepted }: StepStats): void {
    if (phase === "decode") {
      this.#stepSeconds += seconds;
      this.#numSteps++;
    }
    if (phase !== "speculate" || draftSource !== "model") return;
    this.#guessSeconds += draftSeconds;
    this.#numDrafted += numDrafted;
    this.#numAccepted += numAccepted;
  }
}

/** Of greedy answers, one after another, between the first token and the last. */
async function tokensPerSecond(engine: DirectEngine, prompts: readonly Int32Array[]): Promise<number> {
  let [numTokens, ms] = [0, 0];
  for (const prompt of prompts) {
    const times = await engine.times(prompt, MAX_TOKENS);
    numTokens += times.length - 1;
    ms += (times.at(-1) ?? NaN) - (times[0] ?? NaN);
  }
  return (1000 * numTokens) / ms;
}
