/**
 * The engine's model runner, in this process and without a loop around it: decode steps by rows and adapters, prefill
 * chunks. The steps are greedy and include the search for the best tokens. `sampling` measures other ways to choose.
 * Cached keys and values are zeros, and every step decodes the same position. Neither changes the time of a step.
 */
import { join } from "node:path";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import type { ModelRunner, ReadyAdapter } from "../../src/engine/contracts.ts";
import { openBase } from "../../src/base/base.ts";
import { CHUNK_TOKENS, MAX_ROWS, decodeRate, decodingRows, openDecoding, prefillRate } from "../decoding.ts";
import { readyAdapters } from "../engine-settings.ts";
import { type BenchOptions, type WeightChoice, fewRounds } from "../options.ts";
import type { RowName } from "../report/goals.ts";
import { randomAdapter, randomLora } from "../inputs/random-adapter.ts";
import { type Figure, type Promised, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { type BaseChoice, weightName } from "../inputs/work-folder.ts";

const ROW_COUNTS = [1, 8, 16];

type Kind = "mo-sara" | "mo-sara with 5 heads" | "lora";

/** What is compared: a name, the base's targets, the adapters on it, and what 16 different ones may cost. */
const CASES = [
  { name: "bare", targets: "none", kind: null, goal: null, row: null },
  { name: "q,v", targets: ["q_proj", "v_proj"], kind: "mo-sara", goal: 0.98, row: "adapters-qv" },
  { name: "default", targets: "default", kind: "mo-sara", goal: 0.95, row: "adapters-default" },
  { name: "all-linear", targets: "all-linear", kind: "mo-sara", goal: 0.9, row: "adapters-all-linear" },
  {
    name: "q,v with 5 heads",
    targets: ["q_proj", "v_proj"],
    kind: "mo-sara with 5 heads",
    goal: 0.95,
    row: "heads-qv",
  },
  { name: "q,v by LoRA", targets: ["q_proj", "v_proj"], kind: "lora", goal: 0.95, row: "lora-qv" },
] as const satisfies readonly {
  readonly name: string;
  readonly targets: BaseChoice["targets"];
  readonly kind: Kind | null;
  readonly goal: number | null;
  readonly row: RowName | null;
}[];
type Case = (typeof CASES)[number];

const LORA_RANK = 8;
const PREFILL_CASES: readonly string[] = ["bare", "q,v", "default"];

export const engineScenario: Scenario = {
  name: "engine",
  isStandard: true,
  summary:
    "Decode and prefill tokens/s of the engine alone: bare, with one adapter, with a different one in every row.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const dirs = new Map<Case, string>();
  for (const one of CASES) dirs.set(one, await folder.base({ weights, targets: one.targets }));
  return await folder.withScratch(async (scratch) => {
    const runners = new Map<string, ModelRunner>(); // by directory: some cases share a base
    try {
      const models: Model[] = [];
      for (const [one, dir] of dirs) {
        const runner = runners.get(dir) ?? (await openDecoding(dir, join(scratch, String(runners.size)), options));
        runners.set(dir, runner);
        models.push({ case: one, runner, adapters: await adaptersOf(one, dir, runner) });
      }
      note(`measuring steps of ${weightName(weights)}`);
      const figures = await measureModels(models, options);
      return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
    } finally {
      for (const runner of runners.values()) await runner.close();
    }
  });
}

async function measureModels(models: readonly Model[], options: BenchOptions): Promise<Figure[]> {
  const numRounds = fewRounds(options, 8);
  const few = await measureInTurns(
    models.flatMap((model) => fewRowVariants(model, options)),
    numRounds,
  );
  // Shorter turns and more of them than elsewhere: ratios are promised of these, and what is compared lies closer
  // together.
  const full = await measureInTurns(
    models.map((model) => decodeVariant(model, MAX_ROWS, { ...options, numSteps: Math.ceil(options.numSteps / 2) })),
    2 * numRounds,
  );
  const prefills = models
    .filter((model) => PREFILL_CASES.includes(model.case.name))
    .map((model) => prefillVariant(model, options));
  const prefill = await measureInTurns(prefills, numRounds);
  return [...decodeFigures(few, full), ...prefillFigures(prefill)];
}

interface Model {
  readonly case: Case;
  readonly runner: ModelRunner;
  /** A different one for every row; none on the bare base. */
  readonly adapters: readonly ReadyAdapter[];
}

async function adaptersOf({ kind }: Case, dir: string, runner: ModelRunner): Promise<readonly ReadyAdapter[]> {
  if (kind === null) return [];
  await using base = await openBase(dir);
  const { manifest } = base;
  const make = {
    "mo-sara": (seed: number) => randomAdapter(manifest, seed),
    "mo-sara with 5 heads": (seed: number) => randomAdapter(manifest, seed, { heads: 5, router: "rank1" }),
    lora: (seed: number) => randomLora(manifest, seed, LORA_RANK),
  }[kind];
  const files = Array.from({ length: MAX_ROWS }, (_, row) => encodeAdapter(make(row + 1)));
  return await readyAdapters(runner, files);
}

const variantName = (model: string, numRows: number): string => `${model} ${numRows}`;

/** Decode tokens/s: by rows on the bare base; with an adapter one row, where the bases' own bytes weigh most. */
function fewRowVariants(model: Model, options: BenchOptions): Variant[] {
  const numsRows = model.case.kind === null ? ROW_COUNTS : [1];
  return numsRows.map((numRows) => decodeVariant(model, numRows, options));
}

/** Decode tokens/s of rows with an adapter each, all different; without on the bare base. */
function decodeVariant(
  { case: { name }, runner, adapters }: Model,
  numRows: number,
  { contextTokens, numSteps }: Pick<BenchOptions, "contextTokens" | "numSteps">,
): Variant {
  const rows = decodingRows(runner, numRows, contextTokens, adapters);
  return {
    name: variantName(name, numRows),
    measure: () => decodeRate(runner, rows, numSteps),
    warmUp: () => runner.decode(rows),
  };
}

type Samples = (name: string) => readonly number[];

function decodeFigures(few: Samples, full: Samples): Figure[] {
  const bare = (numRows: number): readonly number[] => few(variantName("bare", numRows));
  const figures: Figure[] = ROW_COUNTS.map((numRows) => ({
    what: `decode, ${rowsText(numRows)}, bare`,
    unit: "tokens/s",
    samples: bare(numRows),
  }));
  figures.push(ratio("decode, 8 rows bare ÷ 1 row bare", bare(8), bare(1)));
  figures.push(ratio("decode, 16 rows bare ÷ 1 row bare", bare(16), bare(1), { atLeast: 2 }));
  for (const { name, kind } of CASES)
    if (kind !== null) {
      const promise: Promised = name === "default" ? [{ atLeast: 0.92 }, "adapter-1"] : [];
      const what = `decode, 1 row, one adapter on ${name} ÷ bare`;
      figures.push(ratio(what, few(variantName(name, 1)), bare(1), ...promise));
    }
  const ofBare = full(variantName("bare", MAX_ROWS));
  for (const { name, goal, row } of CASES)
    if (goal !== null) {
      const what = `decode, ${rowsText(MAX_ROWS)}, ${MAX_ROWS} adapters on ${name} ÷ bare`;
      figures.push(ratio(what, full(variantName(name, MAX_ROWS)), ofBare, { atLeast: goal }, row));
    }
  return figures;
}

const rowsText = (numRows: number): string => (numRows === 1 ? "1 row" : `${numRows} rows`);

/** Prefill tokens/s: chunks behind a first one, with an adapter where the model takes any. */
function prefillVariant({ case: { name }, runner, adapters }: Model, options: BenchOptions): Variant {
  return { name, measure: () => prefillRate(runner, adapters[0] ?? null, options) };
}

function prefillFigures(of: (name: string) => readonly number[]): Figure[] {
  const bare: Figure = { what: `prefill, ${CHUNK_TOKENS}-token chunks, bare`, unit: "tokens/s", samples: of("bare") };
  const names = PREFILL_CASES.filter((name) => name !== "bare");
  const adapted = names.map((name) => ratio(`prefill, one adapter on ${name} ÷ bare`, of(name), of("bare")));
  return [bare, ...adapted];
}
