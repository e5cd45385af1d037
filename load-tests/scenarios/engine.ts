/**
 * The engine's model runner, in this process and without a loop around it: decode steps by rows and adapters, prefill chunks.
 * The figures are of the steps alone; choosing tokens is measured beside them. Cached keys and values are zeros and every
 * step decodes the same position: neither changes how long a step takes.
 */
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { openRunner } from "../../src/engine/open-runner.ts";
import type { DecodeRow, ModelRunner, ReadyAdapter } from "../../src/engine/runner.ts";
import { chooseToken, createSamplerScratch, createSamplingState } from "../../src/engine/sampler.ts";
import { openBase } from "../../src/base/base.ts";
import { GREEDY } from "../../src/engine/engine.ts";
import { emptyStore, engineOptions } from "../engine-settings.ts";
import type { BenchOptions, WeightChoice } from "../options.ts";
import { randomAdapter } from "../random-adapter.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { randomIds } from "../random-values.ts";
import { type Figure, ratio } from "../report.ts";
import { type Variant, measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { type BaseChoice, weightName } from "../work-folder.ts";

const MAX_ROWS = 16;
const ROW_COUNTS = [1, 8, 16];
/** The engine's own. */
const CHUNK_TOKENS = 64;

/** The bases that are compared: how they are called here, and their targets. */
const BASES = [
  ["bare", "none"],
  ["q,v", ["q_proj", "v_proj"]],
  ["default", "default"],
] as const satisfies readonly (readonly [string, BaseChoice["targets"]])[];

export const engineScenario: Scenario = {
  name: "engine",
  isStandard: true,
  summary: "Decode and prefill tokens/s of the engine itself: bare, one adapter, a different one in every row.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const dirs = new Map<string, string>();
  for (const [name, targets] of BASES) dirs.set(name, await folder.base({ weights, targets }));
  return await folder.withScratch(async (scratch) => {
    const storeDir = await emptyStore(scratch);
    const models: Model[] = [];
    try {
      for (const [name, dir] of dirs) models.push(await openModel(name, dir, storeDir, options));
      note(`measuring steps of ${weightName(weights)}`);
      const figures = await measureModels(models, options);
      return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
    } finally {
      for (const model of models) await model.runner.close();
    }
  });
}

async function measureModels(models: readonly Model[], options: BenchOptions): Promise<Figure[]> {
  const { numRounds } = options;
  const decodes = models.flatMap((model) => decodeVariants(model, options));
  const decode = await measureInTurns(decodes, numRounds);
  const prefills = models.map((model) => prefillVariant(model, options));
  const prefill = await measureInTurns(prefills, numRounds);
  const sampling = await measureInTurns(models.slice(0, 1).map(samplingVariant), numRounds);
  return [
    ...decodeFigures(decode),
    ...prefillFigures(prefill),
    { what: "greedy choice of a token", unit: "ms/row", samples: sampling("sampling") },
  ];
}

interface Model {
  readonly name: string;
  readonly runner: ModelRunner;
  /** A different one for every row; none on the bare base. */
  readonly adapters: readonly ReadyAdapter[];
}

/** The runner as the engine process opens it, with `MAX_ROWS` decoding rows. */
async function openModel(name: string, dir: string, storeDir: string, options: BenchOptions): Promise<Model> {
  await using base = await openBase(dir);
  const { manifest } = base;
  const runner = await openRunner(engineOptions(dir, storeDir, options));
  for (let id = 0; id < MAX_ROWS; id++) {
    runner.kv.admit(id, options.contextTokens + CHUNK_TOKENS);
    runner.kv.startDecoding(id);
  }
  const seeds = manifest.targets.length > 0 ? Array.from({ length: MAX_ROWS }, (_, row) => row + 1) : [];
  const adapters = seeds.flatMap((seed) => {
    const inlineBytes = encodeAdapter(randomAdapter(manifest, seed));
    return runner.adapters?.get({ generation: generationOf(inlineBytes), inlineBytes }) ?? [];
  });
  return { name, runner, adapters };
}

const variantName = (model: string, numRows: number, adapters: string): string => `${model} ${numRows} ${adapters}`;

/** Decode tokens/s of a model at every number of rows: without adapters, with one for all, with one for each. */
function decodeVariants(model: Model, options: BenchOptions): Variant[] {
  const random = seedRandom(2);
  return ROW_COUNTS.flatMap((numRows) => {
    const ids = randomIds(numRows, model.runner.vocabSize, random);
    const variant = (adapters: string, adapterOf: (row: number) => ReadyAdapter | null): Variant => {
      const rows = Array.from(ids, (tokenId, id) => ({
        id,
        tokenId,
        past: options.contextTokens,
        adapter: adapterOf(id),
      }));
      return {
        name: variantName(model.name, numRows, adapters),
        measure: () => decodeRate(model.runner, rows, options.numSteps),
      };
    };
    if (model.adapters.length === 0) return [variant("none", () => null)];
    const one = variant("one", () => model.adapters[0] ?? null);
    return numRows === 1 ? [one] : [one, variant("each", (row) => model.adapters[row] ?? null)];
  });
}

async function decodeRate(runner: ModelRunner, rows: readonly DecodeRow[], numSteps: number): Promise<number> {
  await runner.decode(rows); // writes the adapters of its rows, as the first step of every new batch does
  const seconds = await secondsOf(async () => {
    for (let step = 0; step < numSteps; step++) await runner.decode(rows);
  });
  return (rows.length * numSteps) / seconds;
}

function decodeFigures(of: (name: string) => readonly number[]): Figure[] {
  const bare = (numRows: number): readonly number[] => of(variantName("bare", numRows, "none"));
  const figures: Figure[] = ROW_COUNTS.map((numRows) => ({
    what: `decode, ${rowsText(numRows)}, bare`,
    unit: "tokens/s",
    samples: bare(numRows),
  }));
  figures.push(ratio("decode, 8 rows bare ÷ 1 row bare", bare(8), bare(1)));
  figures.push(ratio("decode, 16 rows bare ÷ 1 row bare", bare(16), bare(1), { atLeast: 2 }));
  for (const [model, targets] of BASES) {
    if (targets === "none") continue;
    for (const numRows of ROW_COUNTS)
      for (const adapters of numRows === 1 ? ["one"] : ["one", "each"]) {
        const words = adapters === "one" ? "one adapter" : `${numRows} adapters`;
        const goal = model === "q,v" && adapters === "each" && numRows === 16 ? { atLeast: 0.9 } : undefined;
        const what = `decode, ${rowsText(numRows)}, ${words} on ${model} ÷ bare`;
        figures.push(ratio(what, of(variantName(model, numRows, adapters)), bare(numRows), goal));
      }
  }
  return figures;
}

const rowsText = (numRows: number): string => (numRows === 1 ? "1 row" : `${numRows} rows`);

/** Prefill tokens/s: chunks behind a first one, with an adapter where the model takes any. */
function prefillVariant({ name, runner, adapters }: Model, options: BenchOptions): Variant {
  const tokenIds = randomIds(CHUNK_TOKENS, runner.vocabSize, seedRandom(3));
  const numChunks = Math.max(1, Math.ceil(options.numSteps / 3));
  const past = Math.min(options.contextTokens, CHUNK_TOKENS);
  const step = { id: 0, past, tokenIds, adapter: adapters[0] ?? null, logitPositions: [] };
  const run = async (): Promise<void> => {
    for (let chunk = 0; chunk < numChunks; chunk++) await runner.prefill(step);
  };
  return { name, measure: async () => (numChunks * CHUNK_TOKENS) / (await secondsOf(run)) };
}

function prefillFigures(of: (name: string) => readonly number[]): Figure[] {
  const bare: Figure = { what: `prefill, ${CHUNK_TOKENS}-token chunks, bare`, unit: "tokens/s", samples: of("bare") };
  const adapted = BASES.filter(([, targets]) => targets !== "none").map(([name]) =>
    ratio(`prefill, one adapter on ${name} ÷ bare`, of(name), of("bare")),
  );
  return [bare, ...adapted];
}

/** Milliseconds that the engine's loop adds to a step for every greedy row. */
function samplingVariant({ runner }: Model): Variant {
  const { vocabSize } = runner;
  const logits = Float32Array.from({ length: vocabSize }, (_, i) => Math.sin(i));
  const state = createSamplingState(GREEDY, new Int32Array(1));
  const scratch = createSamplerScratch(vocabSize);
  const measure = async (): Promise<number> => {
    const seconds = await secondsOf(async () => {
      for (let row = 0; row < MAX_ROWS; row++) chooseToken(logits, state, [], scratch);
    });
    return (1000 * seconds) / MAX_ROWS;
  };
  return { name: "sampling", measure };
}
