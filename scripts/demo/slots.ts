/**
 * What copying is measured by: held-out names, numbers and codes that stand in a request and that the right answer
 * repeats. A whole answer is right or wrong; its slots tell how often a single thing is copied right. Knows no models.
 */
import { isHeldOut } from "../corpus/draw.ts";

const WORD = /[\p{L}\d][\p{L}\d/-]*/gu;

const words = (text: string): Set<string> => new Set(text.match(WORD));

/**
 * Names begin with a capital, numbers and codes have digits; ordinary words at the beginning of a sentence are rarely
 * held out.
 */
const isSlot = (word: string): boolean => /^\p{Lu}|\d/u.test(word) && isHeldOut(word);

/** Held-out names, numbers and codes that both texts hold, each once. */
export function slotsOf(request: string, answer: string): string[] {
  const asked = words(request);
  return [...words(answer)].filter((word) => isSlot(word) && asked.has(word));
}

/** One prediction: what was asked, the right answer, and the one given. */
export interface Answered {
  readonly request: string;
  readonly expected: string;
  readonly given: string;
}

/** How many slots all the right answers have, and how many of them the given ones hold. */
export function countSlots(answered: readonly Answered[]): { readonly copied: number; readonly count: number } {
  let [copied, count] = [0, 0];
  for (const { request, expected, given } of answered) {
    const said = words(given);
    const slots = slotsOf(request, expected);
    count += slots.length;
    copied += slots.filter((slot) => said.has(slot)).length;
  }
  return { copied, count };
}
