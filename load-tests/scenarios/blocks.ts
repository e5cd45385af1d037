/**
 * Quantised weights in blocks of 128 ÷ the same in blocks of 32, on the bare base: the speed that fewer scales gain.
 * `peer` reports the divergence, which is their cost in answers. Both figures decide a default.
 */
import { join } from "node:path";
import type { ModelRunner } from "../../src/engine/contracts.ts";
import { MAX_ROWS, decodeRate, decodingRows, openDecoding, prefillRate } from "../decoding.ts";
import { type BenchOptions, type WeightChoice, fewRounds } from "../options.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";

const BLOCK_SIZES = [32, 128] as const;
/** Tokens/s by what is done. */
const WORK: Readonly<Record<string, (runner: ModelRunner, options: BenchOptions) => Promise<number>>> = {
  "decode, 1 row": (runner, options) => decode(runner, 1, options),
  [`decode, ${MAX_ROWS} rows`]: (runner, options) => decode(runner, MAX_ROWS, options),
  "prefill, 64-token chunks": (runner, options) => prefillRate(runner, null, options),
};

function decode(runner: ModelRunner, numRows: number, { contextTokens, numSteps }: BenchOptions): Promise<number> {
  return decodeRate(runner, decodingRows(runner, numRows, contextTokens), numSteps);
}

type Kind = WeightChoice["kind"];

export const blocksScenario: Scenario = {
  name: "blocks",
  summary: "Decode and prefill with weights in blocks of 128 ÷ in blocks of 32, for int8 and int4.",
  run: async (context) => {
    const kinds = new Set(context.options.weights.map(({ kind }) => kind));
    const figures: Figure[] = [];
    for (const kind of kinds)
      if (kind === "int8" || kind === "int4") figures.push(...(await measureKind(context, kind)));
      else context.note(`${kind} has no blocks`);
    return figures;
  },
};

async function measureKind({ folder, options, note }: BenchContext, kind: Kind): Promise<Figure[]> {
  return await folder.withScratch(async (scratch) => {
    const runners: ModelRunner[] = [];
    try {
      for (const blockSize of BLOCK_SIZES) {
        const dir = await folder.base({ weights: { kind, blockSize }, targets: "none" });
        runners.push(await openDecoding(dir, join(scratch, String(blockSize)), options));
      }
      // What is compared lies side by side.
      const variants = Object.entries(WORK).flatMap(([work, rate]) =>
        runners.map((runner, i): Variant => ({
          name: `${BLOCK_SIZES[i]} ${work}`,
          measure: () => rate(runner, options),
        })),
      );
      note(`measuring ${kind} in blocks of ${BLOCK_SIZES.join(" and ")}`);
      const of = await measureInTurns(variants, fewRounds(options, 8));
      const [fine, coarse] = BLOCK_SIZES;
      return Object.keys(WORK).flatMap((work): Figure[] => [
        { what: `${kind}: ${work}, blocks of ${fine}`, unit: "tokens/s", samples: of(`${fine} ${work}`) },
        ratio(`${kind}: ${work}, blocks of ${coarse} ÷ of ${fine}`, of(`${coarse} ${work}`), of(`${fine} ${work}`)),
      ]);
    } finally {
      for (const runner of runners) await runner.close();
    }
  });
}
