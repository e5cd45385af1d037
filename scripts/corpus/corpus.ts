/** The whole corpus: shares of the parts, and one line after the other from a seed. */
import { copyingExchange, lookUps } from "./copying.ts";
import { Draw, type Split } from "./draw.ts";
import { chat, type Exchange, type Line, line } from "./example.ts";
import { recordExchange, recordQuestions } from "./records.ts";
import { storyExchange } from "./stories.ts";
import { sumExchange, sums } from "./sums.ts";
import { supportConversation, supportExchange } from "./support.ts";

type Make = (draw: Draw) => Line;

const single = (make: (draw: Draw) => Exchange) => (draw: Draw) => line(draw, make(draw));

/**
 * The parts of the corpus by name: share in percent, share where the weaker parts are practised, and what makes a line.
 */
const PARTS = {
  support: [24, 10, single(supportExchange)],
  conversations: [4, 4, supportConversation],
  records: [22, 18, single(recordExchange)],
  sums: [14, 10, single(sumExchange)],
  stories: [8, 2, single(storyExchange)],
  copying: [28, 20, single(copyingExchange)],
} as const satisfies Readonly<Record<string, readonly [number, number, Make]>>;
export type Part = keyof typeof PARTS;
export const PART_NAMES = Object.keys(PARTS) as readonly Part[];

/**
 * Many answers to one text, each with a loss: where a single question teaches one lookup, this teaches all of them at
 * once.
 */
const DRILLS: readonly (readonly [number, Make])[] = [
  [14, (draw) => chat(lookUps(draw))],
  [12, (draw) => chat(recordQuestions(draw))],
  [10, (draw) => chat(sums(draw))],
];

const USUAL = Object.values(PARTS).map(([share, , make]): readonly [number, Make] => [share, make]);
const PRACTICE = [...Object.values(PARTS).map(([, share, make]): readonly [number, Make] => [share, make]), ...DRILLS];

/**
 * JSON lines of the corpus, seams still in them.
 * @param mix a part alone, all by their usual shares, or by those for practice, drills among them
 */
export function* corpusLines(
  count: number,
  seed: number,
  split: Split,
  mix: Part | "usual" | "practice" = "usual",
): Generator<string> {
  const draw = new Draw(seed, split);
  const make = (): Line => {
    if (mix === "usual") return draw.weighted(USUAL)(draw);
    return mix === "practice" ? draw.weighted(PRACTICE)(draw) : PARTS[mix][2](draw);
  };
  for (let i = 0; i < count; i++) yield JSON.stringify(make());
}
