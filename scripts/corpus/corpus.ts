/** The whole corpus: shares of the parts, and one line after the other from a seed. */
import { copyingExchange } from "./copying.ts";
import { Draw, type Split } from "./draw.ts";
import { type Exchange, type Line, line } from "./example.ts";
import { recordExchange } from "./records.ts";
import { storyExchange } from "./stories.ts";
import { sumExchange } from "./sums.ts";
import { supportConversation, supportExchange } from "./support.ts";

const single = (make: (draw: Draw) => Exchange) => (draw: Draw) => line(draw, make(draw));

/** The parts of the corpus by name: share in percent, and what makes a line. */
const PARTS = {
  support: [24, single(supportExchange)],
  conversations: [4, supportConversation],
  records: [22, single(recordExchange)],
  sums: [14, single(sumExchange)],
  stories: [8, single(storyExchange)],
  copying: [28, single(copyingExchange)],
} as const satisfies Readonly<Record<string, readonly [number, (draw: Draw) => Line]>>;
export type Part = keyof typeof PARTS;
export const PART_NAMES = Object.keys(PARTS) as readonly Part[];

const MIX = Object.values(PARTS);

/** JSON lines of the corpus, seams still in them. @param part null: all of them, by their shares */
export function* corpusLines(count: number, seed: number, split: Split, part: Part | null = null): Generator<string> {
  const draw = new Draw(seed, split);
  for (let i = 0; i < count; i++) yield JSON.stringify((part === null ? draw.weighted(MIX) : PARTS[part][1])(draw));
}
