/**
 * Shared beginnings of prompts, in engine processes of their own: the first token after a known system prompt ÷ after a
 * new one. It also measures prompts that share nothing, in an engine that keeps prefixes ÷ an engine that keeps none.
 */
import { join } from "node:path";
import { openBase } from "../../src/base/base.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { type DirectEngine, startEngine } from "../processes/engine-process.ts";
import { emptyStore } from "../engine-settings.ts";
import type { WeightChoice } from "../options.ts";
import { randomIds } from "../inputs/random-values.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { weightName } from "../inputs/work-folder.ts";

const OWN_TOKENS = 32;

export const prefixScenario: Scenario = {
  name: "prefix",
  summary:
    "Time to first token after a system prompt of 1024 tokens, cached ÷ new. The cost of the prefix cache without hits.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: "none" });
  await using base = await openBase(baseDir);
  const { vocabSize } = base.manifest.config;
  return await folder.withScratch(async (scratch) => {
    const numShared = options.isSmoke ? 128 : 1024;
    const storeDir = await emptyStore(join(scratch, "store"));
    const sizes = { maxModelLen: 2048 };
    await using keeping = await startEngine(baseDir, storeDir, options, { ...sizes, usesPrefixCache: true });
    await using plain = await startEngine(baseDir, storeDir, options, { ...sizes, usesPrefixCache: false });
    note(`measuring shared prefixes of ${weightName(weights)}`);
    const random = seedRandom(8);
    const ids = (count: number): number[] => [...randomIds(count, vocabSize, random)];
    const firstTokenMs = async (engine: DirectEngine, prompt: readonly number[]): Promise<number> => {
      const startedAt = performance.now();
      const [first = NaN] = await engine.times(Int32Array.from(prompt), 1);
      return first - startedAt;
    };
    const system = ids(numShared);
    await firstTokenMs(keeping, [...system, ...ids(OWN_TOKENS)]);
    const variants: Variant[] = [
      { name: "known", measure: () => firstTokenMs(keeping, [...system, ...ids(OWN_TOKENS)]) },
      { name: "new", measure: () => firstTokenMs(keeping, ids(numShared + OWN_TOKENS)) },
      { name: "plain", measure: () => firstTokenMs(plain, ids(numShared + OWN_TOKENS)) },
    ];
    const of = await measureInTurns(variants, options.numRounds);
    const figures: Figure[] = [
      { what: `first token behind ${numShared} new tokens`, unit: "ms", samples: of("new") },
      { what: `first token behind ${numShared} known tokens`, unit: "ms", samples: of("known") },
      ratio("first token, known ÷ new", of("known"), of("new")),
      ratio("first token of new tokens, prefixes kept ÷ not", of("new"), of("plain"), { atMost: 1.02 }, "prefix"),
    ];
    return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
  });
}
