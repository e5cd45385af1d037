/**
 * Decode steps of the engine on a base without adapters ÷ a graph that has only the same products over the same
 * weights. The ratio shows how much speed remains with attention, norms, the KV cache and everything else around the
 * products.
 */
import { openBase } from "../../src/base/base.ts";
import { type Products, openProducts } from "../../src/base/merge/products.ts";
import { MAX_ROWS, decodeRate, decodingRows, openDecoding } from "../decoding.ts";
import { type WeightChoice, fewRounds } from "../options.ts";
import { type Figure, type Promised, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { weightName } from "../inputs/work-folder.ts";

const ROW_COUNTS = [1, MAX_ROWS];
/** The goals of both. */
const PROMISED = new Map<number, Promised>([
  [1, [{ atLeast: 0.85 }, "ceiling-1"]],
  [MAX_ROWS, [{ atLeast: 0.9 }, "ceiling"]],
]);

export const ceilingScenario: Scenario = {
  name: "ceiling",
  isStandard: true,
  summary: "Decode steps of the engine ÷ a graph that has only their matrix products.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const dir = await folder.base({ weights, targets: "none" });
  return await folder.withScratch(async (scratch) => {
    const runner = await openDecoding(dir, scratch, options);
    await using base = await openBase(dir);
    await using products = await openProducts(base, options.numThreads);
    note(`measuring ${weightName(weights)} against its products`);
    const rowsOf = (numRows: number) => decodingRows(runner, numRows, options.contextTokens);
    const variants = ROW_COUNTS.flatMap((numRows): Variant[] => [
      { name: `engine ${numRows}`, measure: () => decodeRate(runner, rowsOf(numRows), options.numSteps) },
      { name: `products ${numRows}`, measure: () => productsRate(products, numRows, options.numSteps) },
    ]);
    const of = await measureInTurns(variants, fewRounds(options, 8));
    await runner.close();
    return ROW_COUNTS.flatMap((numRows) => figuresOf(numRows, of, weightName(weights)));
  });
}

function figuresOf(numRows: number, of: (name: string) => readonly number[], format: string): Figure[] {
  const rows = numRows === 1 ? "1 row" : `${numRows} rows`;
  const [engine, products] = [of(`engine ${numRows}`), of(`products ${numRows}`)];
  const promise = PROMISED.get(numRows) ?? [];
  return [
    { what: `${format}: products alone, ${rows}`, unit: "tokens/s", samples: products },
    ratio(`${format}: decode, ${rows}, bare ÷ products alone`, engine, products, ...promise),
  ];
}

/** Tokens/s of steps with so many rows. A row that the engine adds as padding is a cost of the engine. */
async function productsRate(products: Products, numRows: number, numSteps: number): Promise<number> {
  const step = products.step(numRows);
  await step();
  const seconds = await secondsOf(async () => {
    for (let i = 0; i < numSteps; i++) await step();
  });
  return (numRows * numSteps) / seconds;
}
