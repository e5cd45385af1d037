/**
 * Answers with --speculative-tokens ÷ without: JSON of a known schema for 1, 4 and 16 clients, and for one client text
 * that repeats its prompt and text that does not. The gain depends on how the model spells and repeats, so the base is
 * a trained one: the demo, or `--trained`.
 */
import { join } from "node:path";
import { buildBase } from "../../../src/base/build/build.ts";
import type { GrammarSpec } from "../../../src/grammar/grammar-spec.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { emptyStore } from "../../engine-settings.ts";
import { PLACE_SCHEMA } from "../../inputs/schema.ts";
import { trainedCheckpoint } from "../../inputs/trained.ts";
import { type DirectEngine, startEngine } from "../../processes/engine-process.ts";
import { type Figure, ratio } from "../../report/figures.ts";
import type { RowName } from "../../report/goals.ts";
import { measureInTurns } from "../../rounds.ts";
import type { BenchContext, Scenario } from "../../scenario.ts";

const MAX_DRAFT = 8;
/** Answers to the schema end by themselves before this. */
const MAX_TOKENS = 256;
const GRAMMAR: GrammarSpec = { kind: "json-schema", text: JSON.stringify(PLACE_SCHEMA) };

const NAMES = ["The Mill", "Bluebell House", "Old Harbour", "The Copper Kettle", "Fern and Fig", "Station Bar"];

/** A note with facts, to be written out again. */
const noteOf = (at: number): string =>
  NAMES.map(
    (name, i) =>
      `${name} is on ${["Bridge Street", "Mill Lane", "the market square"][(at + i) % 3]}, ` +
      `opens at ${6 + ((at + 5 * i) % 7)} and has ${10 + ((7 * at + 3 * i) % 80)} tables.`,
  ).join("\n");

interface Work {
  readonly what: string;
  readonly numClients: number;
  readonly grammar: GrammarSpec | null;
  readonly promptOf: (at: number) => string;
  /** Least gain, and its row in the summary. */
  readonly goal?: readonly [{ readonly atLeast: number }, RowName];
}

const schemaWork = (numClients: number): Work => ({
  what: `JSON of a known schema, ${numClients} client${numClients === 1 ? "" : "s"}`,
  numClients,
  grammar: GRAMMAR,
  promptOf: (at) => `Describe restaurant ${at} as JSON:\n`,
  ...(numClients === 1 ? { goal: [{ atLeast: 1.5 }, "speculation-json"] } : {}),
});

const WORKS: readonly Work[] = [
  ...[1, 4, 16].map(schemaWork),
  {
    what: "text that repeats its prompt, 1 client",
    numClients: 1,
    grammar: null,
    promptOf: (at) => `${noteOf(at)}\n\nThe same note once more, unchanged:\n\n${NAMES[0]}`,
    goal: [{ atLeast: 1.8 }, "speculation-copy"],
  },
  {
    what: "text that repeats little, 1 client",
    numClients: 1,
    grammar: null,
    promptOf: (at) => `Story ${at}. Once upon a time, in a small town by the sea, there lived`,
  },
];

export const speculationScenario: Scenario = {
  name: "speculation",
  summary: "Answers with --speculative-tokens ÷ without: JSON, text that repeats its prompt; on the demo or --trained.",
  run: measureSpeculation,
};

async function measureSpeculation({ folder, options, note }: BenchContext): Promise<Figure[]> {
  return await folder.withScratch(async (scratch) => {
    const checkpoint = await trainedCheckpoint(options, join(scratch, "trained"));
    const baseDir = join(scratch, "base");
    const { threshold, numThreads } = options;
    const more = { targets: "none", maxRank: null, basisFrom: null, isSlim: true } as const;
    await buildBase(checkpoint, baseDir, { weights: "int8", blockSize: 32, threshold, numThreads, ...more });
    const storeDir = await emptyStore(join(scratch, "store"));
    await using plain = await startEngine(baseDir, storeDir, options);
    await using speculating = await startEngine(baseDir, storeDir, options, { maxDraft: MAX_DRAFT });
    note("measuring speculation");
    const tokenizer = await loadTokenizer(baseDir);
    let at = 0;
    const figures: Figure[] = [];
    for (const { what, numClients, grammar, promptOf, goal } of WORKS) {
      const prompt = (): Int32Array => Int32Array.from(tokenizer.encode(promptOf(at++)));
      const variants = [plain, speculating].map((engine, i) => ({
        name: i === 0 ? "plain" : "speculating",
        measure: () => tokensPerSecond(engine, Array.from({ length: numClients }, prompt), grammar),
      }));
      const of = await measureInTurns(variants, options.numRounds);
      const named = [`int8: ${what}, with speculation ÷ without`, of("speculating"), of("plain")] as const;
      figures.push(
        { what: `int8: ${what}, without`, unit: "tokens/s", samples: of("plain") },
        goal === undefined ? ratio(...named) : ratio(...named, ...goal),
      );
    }
    return figures;
  });
}

async function tokensPerSecond(
  engine: DirectEngine,
  prompts: readonly Int32Array[],
  grammar: GrammarSpec | null,
): Promise<number> {
  const startedAt = performance.now();
  const answers = await Promise.all(prompts.map((ids) => engine.times(ids, MAX_TOKENS, grammar)));
  const numTokens = answers.reduce((sum, times) => sum + times.length, 0);
  return (1000 * numTokens) / (performance.now() - startedAt);
}
