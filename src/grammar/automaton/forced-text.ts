/**
 * The text that comes next where a grammar allows only one. If the grammar leaves only white space free, the earlier
 * white space of the answer decides. The result is a guess, and is compared with the model's own choice.
 */
import type { Automaton, State } from "./automaton.ts";
import { isSpace, type SpacingHabit } from "./spacing-habit.ts";

/** Number of different bytes that are considered: the white space of JSON, and one other byte. */
const MAX_CHOICES = 7;

/** @param habit not written to @returns the bytes that come next, at most `maxBytes` */
export function forcedText(automaton: Automaton, from: State, habit: SpacingHabit, maxBytes: number): number[] {
  const text: number[] = [];
  const reader = habit.copy();
  let state = from;
  const read = (byte: number): boolean => {
    const next = automaton.step(state, byte);
    if (next === null) return false;
    text.push(byte);
    reader.read(byte);
    state = next;
    return true;
  };
  while (text.length < maxBytes && !state.isAccepting) {
    const choices = automaton.nextBytes(state, MAX_CHOICES);
    if (choices === null) break;
    const others = choices.filter((byte) => !isSpace(byte));
    const only = choices.length === 1 ? choices[0] : others[0];
    if (only === undefined || (choices.length > 1 && others.length !== 1)) break;
    if (choices.length > 1) for (const space of reader.expectedBefore(only)) if (!read(space)) break;
    if (!read(only)) break;
  }
  return text;
}
