/**
 * Answers bound to a JSON Schema, in an engine process of their own. There are three ratios. Speed: 16 bound rows ÷ 16
 * free rows. Speed of free rows: beside bound rows ÷ beside free rows. Longest wait of running rows for a token: while
 * a new schema of 2 kB is compiled ÷ without.
 */
import { join } from "node:path";
import { openBase } from "../../src/base/base.ts";
import type { GrammarSpec } from "../../src/grammar/grammar-spec.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { MAX_ROWS } from "../decoding.ts";
import { emptyStore } from "../engine-settings.ts";
import { randomIds } from "../inputs/random-values.ts";
import { weightName } from "../inputs/work-folder.ts";
import type { WeightChoice } from "../options.ts";
import { type DirectEngine, startEngine } from "../processes/engine-process.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { measureInTurns, type Variant } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";

const PROMPT_TOKENS = 16;
/** Rows that decode while a schema is compiled. */
const NUM_RUNNING = 8;

export const grammarScenario: Scenario = {
  name: "grammar",
  summary:
    "Tokens/s of rows bound to a JSON Schema, and of free rows in one batch with them. The wait while a schema compiles.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

/**
 * A schema of about 2 kB that no answer of a few hundred tokens completes. @param version gives every schema names of
 * its own
 */
function schemaOf(version: number): GrammarSpec {
  const fields = Array.from({ length: 14 }, (_, i) => {
    const kinds: object[] = [
      { type: "string", description: "One of the many fields that a form of this kind has." },
      { type: "integer", minimum: 0, maximum: 5000 },
      { enum: ["red", "green", "blue", "none of them"] },
      { type: "array", items: { type: "string", maxLength: 20 }, minItems: 1 },
      {
        type: "object",
        properties: { street: { type: "string" }, zip: { type: "string", pattern: "^[0-9]{5}$" } },
        required: ["street", "zip"],
      },
    ];
    return [`field_${version}_number_${i}`, kinds[i % kinds.length]] as const;
  });
  const item = { type: "object", properties: Object.fromEntries(fields), required: fields.map(([name]) => name) };
  return { kind: "json-schema", text: JSON.stringify({ type: "array", minItems: 500, items: item }) };
}

class Load {
  readonly #engine: DirectEngine;
  readonly #vocabSize: number;
  readonly #numTokens: number;
  readonly #random = seedRandom(31);
  #numSchemas = 0;

  constructor(engine: DirectEngine, vocabSize: number, numTokens: number) {
    this.#engine = engine;
    this.#vocabSize = vocabSize;
    this.#numTokens = numTokens;
  }

  #row(grammar: GrammarSpec | null, numTokens = this.#numTokens): Promise<readonly number[]> {
    return this.#engine.times(randomIds(PROMPT_TOKENS, this.#vocabSize, this.#random), numTokens, grammar);
  }

  /** Tokens/s of the rows `from` on, of 16 that run together, from the moment when all of them decode. */
  async rate(grammars: readonly (GrammarSpec | null)[], from = 0): Promise<number> {
    const rows = await Promise.all(grammars.map((grammar) => this.#row(grammar)));
    const startedAt = Math.max(...rows.map(([first = Infinity]) => first));
    const counted = rows.slice(from).map((times) => times.filter((at) => at > startedAt));
    const endedAt = Math.min(...counted.map((times) => times.at(-1) ?? Infinity));
    const numTokens = counted.reduce((sum, times) => sum + times.filter((at) => at <= endedAt).length, 0);
    return (1000 * numTokens) / (endedAt - startedAt);
  }

  /**
   * Longest time in ms between two tokens of running rows after another request has come. @param isBound to a schema
   * that is new
   */
  async longestWait(isBound: boolean): Promise<number> {
    const running = Array.from({ length: NUM_RUNNING }, () => this.#row(null));
    const first = await this.#row(null, 4); // all of them decode then
    const cameAt = first.at(-1) ?? 0;
    const other = await this.#row(isBound ? schemaOf(++this.#numSchemas) : null, 4);
    const endedAt = other.at(-1) ?? Infinity;
    const gaps = (await Promise.all(running)).flatMap((times) =>
      times.flatMap((at, i) =>
        i > 0 && at > cameAt && (times[i - 1] ?? 0) < endedAt ? [at - (times[i - 1] ?? at)] : [],
      ),
    );
    return Math.max(...gaps);
  }
}

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: "none" });
  await using base = await openBase(baseDir);
  const { vocabSize } = base.manifest.config;
  return await folder.withScratch(async (scratch) => {
    const storeDir = await emptyStore(join(scratch, "store"));
    await using engine = await startEngine(baseDir, storeDir, options);
    note(`measuring grammars on ${weightName(weights)}`);
    const load = new Load(engine, vocabSize, 2 * options.numTokens);
    const known = schemaOf(0);
    const rows = (numBound: number): (GrammarSpec | null)[] =>
      Array.from({ length: MAX_ROWS }, (_, row) => (row < numBound ? known : null));
    const half = MAX_ROWS / 2;
    const variants: Variant[] = [
      { name: "free", measure: () => load.rate(rows(0)) },
      { name: "bound", measure: () => load.rate(rows(MAX_ROWS)) },
      { name: "free half", measure: () => load.rate(rows(0), half) },
      { name: "beside bound", measure: () => load.rate(rows(half), half) },
      { name: "wait free", measure: () => load.longestWait(false) },
      { name: "wait bound", measure: () => load.longestWait(true) },
    ];
    const of = await measureInTurns(variants, options.numRounds);
    const figures: Figure[] = [
      { what: "16 free rows", unit: "tokens/s", samples: of("free") },
      { what: "16 rows bound to a known schema", unit: "tokens/s", samples: of("bound") },
      ratio("16 rows bound to a schema ÷ 16 free rows", of("bound"), of("free"), { atLeast: 0.9 }, "grammar-bound"),
      ratio(
        "8 free rows beside 8 bound ones ÷ beside 8 free ones",
        of("beside bound"),
        of("free half"),
        { atLeast: 0.98 },
        "grammar-beside",
      ),
      { what: "longest wait for a token while a request comes", unit: "ms", samples: of("wait free") },
      ratio(
        "the same while a schema is compiled ÷ without one",
        of("wait bound"),
        of("wait free"),
        { atMost: 1.1 },
        "grammar-compile",
      ),
    ];
    return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
  });
}
