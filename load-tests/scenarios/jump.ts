/**
 * JSON of a known schema with jump ahead ÷ without, for 1, 4 and 16 clients. The gain depends on how the model spells,
 * so the base is a trained one: the demo, or `--trained`.
 */
import { join } from "node:path";
import { buildBase } from "../../src/base/build/build.ts";
import type { GrammarSpec } from "../../src/grammar/grammar-spec.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { emptyStore } from "../engine-settings.ts";
import { PLACE_SCHEMA } from "../inputs/schema.ts";
import { trainedCheckpoint } from "../inputs/trained.ts";
import { type DirectEngine, startEngine } from "../processes/engine-process.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";

const NUM_CLIENTS = [1, 4, 16];
const MAX_JUMP = 8;
/** Most answers are longer. */
const MAX_TOKENS = 96;
const GRAMMAR: GrammarSpec = { kind: "json-schema", text: JSON.stringify(PLACE_SCHEMA) };

export const jumpScenario: Scenario = {
  name: "jump",
  summary: "JSON of a known schema with --jump-ahead ÷ without, 1 to 16 clients, on the demo or --trained.",
  run: measureJumps,
};

async function measureJumps({ folder, options, note }: BenchContext): Promise<Figure[]> {
  return await folder.withScratch(async (scratch) => {
    const checkpoint = await trainedCheckpoint(options, join(scratch, "trained"));
    const baseDir = join(scratch, "base");
    const { threshold, numThreads } = options;
    const more = { targets: "none", maxRank: null, basisFrom: null, isSlim: true } as const;
    await buildBase(checkpoint, baseDir, { weights: "int8", blockSize: 32, threshold, numThreads, ...more });
    const storeDir = await emptyStore(join(scratch, "store"));
    await using plain = await startEngine(baseDir, storeDir, options);
    await using jumping = await startEngine(baseDir, storeDir, options, { maxJump: MAX_JUMP });
    note("measuring jump ahead");
    const tokenizer = await loadTokenizer(baseDir);
    let place = 0;
    const prompt = (): Int32Array => Int32Array.from(tokenizer.encode(`Describe restaurant ${place++} as JSON:\n`));
    const figures: Figure[] = [];
    for (const numClients of NUM_CLIENTS) {
      const variants = [plain, jumping].map((engine, i) => ({
        name: i === 0 ? "plain" : "jumping",
        measure: () => tokensPerSecond(engine, Array.from({ length: numClients }, prompt)),
      }));
      const of = await measureInTurns(variants, options.numRounds);
      const what = `int8: JSON of a known schema, ${numClients} client${numClients === 1 ? "" : "s"}`;
      const named = [`${what}, with jump ahead ÷ without`, of("jumping"), of("plain")] as const;
      figures.push(
        { what: `${what}, without`, unit: "tokens/s", samples: of("plain") },
        numClients === 1 ? ratio(...named, { atLeast: 1.5 }, "grammar-jump") : ratio(...named),
      );
    }
    return figures;
  });
}

async function tokensPerSecond(engine: DirectEngine, prompts: readonly Int32Array[]): Promise<number> {
  const startedAt = performance.now();
  const answers = await Promise.all(prompts.map((ids) => engine.times(ids, MAX_TOKENS, GRAMMAR)));
  const numTokens = answers.reduce((sum, times) => sum + times.length, 0);
  return (1000 * numTokens) / (performance.now() - startedAt);
}
