/** The corpus' words: made-up names in syllables, numbers, codes, things. Our own lists. */
import { type Draw, SEAM } from "./draw.ts";

const FIRST =
  "Mar Tol Bren Ka Lin Or Vel Das Fen Gru Hal Is Jo Kel Lor Mi Nor Pel Quin Ros Sel Tar Ul Vor Wen Yar Zel Al Bo Cor Dun El Fi Gal Hes Il Jar Kro Lu Mel".split(
    " ",
  );
const MIDDLE = "ta ri lo na vi so mu de ke ba fi go ra li no sa".split(" ");
const LAST = "la vin dor mi ran tha bel nik ros ta len wyn go rick na vos mer ly than ko".split(" ");

/** A made-up name of two or three syllables: 13,600 of them. */
export function name(draw: Draw): string {
  return draw.ours(() => {
    const middle = draw.chance(0.6) ? [draw.pick(MIDDLE)] : [];
    return [draw.pick(FIRST), ...middle, draw.pick(LAST)].join(SEAM);
  });
}

/** Several different names. */
export function names(draw: Draw, count: number): string[] {
  const found = new Set<string>();
  while (found.size < count) found.add(name(draw));
  return [...found];
}

/** Digits, the first of them not 0. */
export function number(draw: Draw, minDigits: number, maxDigits: number): string {
  return draw.ours(() =>
    Array.from({ length: draw.int(minDigits, maxDigits) }, (_, i) => draw.int(i === 0 ? 1 : 0, 9)).join(""),
  );
}

const LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ".split("");

/** Letters and digits in no order, such as "K7-QX2". */
export function code(draw: Draw): string {
  return draw.ours(() => {
    const part = (length: number): string =>
      Array.from({ length }, () => (draw.chance(0.5) ? draw.pick(LETTERS) : String(draw.int(0, 9)))).join(SEAM);
    return `${part(draw.int(1, 3))}${draw.pick(["-", "", "/"])}${part(draw.int(2, 3))}`;
  });
}

export const COLOURS = "red blue green black white yellow grey brown pink silver purple golden".split(" ");
const THINGS =
  "kettle lamp chair table jacket clock mirror backpack blanket camera carpet bottle bicycle radio teapot umbrella keyboard vase hammer basket candle pillow shelf suitcase tent fan".split(
    " ",
  );

/** A thing with its colour, such as "red kettle". */
export function thing(draw: Draw): string {
  return draw.ours(() => `${draw.pick(COLOURS)} ${draw.pick(THINGS)}`);
}

export const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;
export const JOBS = "baker teacher farmer painter driver nurse cook gardener tailor pilot singer carpenter".split(" ");
export const PETS = "cat dog parrot rabbit goat turtle horse hamster".split(" ");
export const FOODS = "Thai Italian Indian French Greek Mexican Japanese Turkish Spanish Korean".split(" ");
export const PLACES = "harbour market station park river museum castle library school bridge".split(" ");
/** What is counted in sums. */
export const GOODS = "apples books stamps shells coins marbles pens stickers eggs cards nuts stones".split(" ");

/** With its first letter as a capital. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
