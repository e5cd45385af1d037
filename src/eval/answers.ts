/**
 * Answers taken out of generated text and compared with a label, by kind of task. The rules are those of the text fixtures'
 * README ("Rules of the scores"), which follow LLM-Adapters' evaluation. Knows no model.
 */
import { ANSWER_KINDS, type AnswerKind } from "../data/examples.ts";

/** Numbers are right within this of the label. */
const TOLERANCE = 0.001;

/** The words an answer may be, by kind; the first one found counts. */
const WORDS: Readonly<Record<Exclude<AnswerKind, "number">, readonly string[]>> = {
  letter: ["A", "B", "C", "D", "E"],
  "true-false": ["true", "false"],
  solution: ["solution1", "solution2"],
  answer: ["answer1", "answer2", "answer3", "answer4", "answer5"],
  ending: ["ending1", "ending2", "ending3", "ending4"],
  option: ["option1", "option2"],
};

/** The last number of a text, commas left out; null where there is none. */
export function extractNumber(text: string): number | null {
  const found = text.replaceAll(",", "").match(/-?\p{Nd}+\.?\p{Nd}*/gu);
  const last = found?.at(-1);
  return last === undefined ? null : Number(last.replace(/\p{Nd}/gu, asciiDigit));
}

/** The first of the kind's words that stands in a text, also inside a longer word; "" where there is none. */
export function extractWord(text: string, kind: Exclude<AnswerKind, "number">): string {
  return new RegExp(WORDS[kind].join("|")).exec(text)?.[0] ?? "";
}

/** A label as a number; null where it is none. */
export function numberLabel(label: string): number | null {
  const text = label.trim().replaceAll(",", "");
  const value = text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

/** Whether a number from a text is the label's. */
export function isSameNumber(found: number | null, label: number): boolean {
  return found !== null && Math.abs(found - label) <= TOLERANCE;
}

/** The kind whose words hold the label; undefined where none does. */
export function kindOfLabel(label: string): Exclude<AnswerKind, "number"> | undefined {
  return ANSWER_KINDS.filter((kind) => kind !== "number").find((kind) => WORDS[kind].includes(label));
}

/** Whether a kind knows the label as one of its words. */
export function isWordOf(kind: Exclude<AnswerKind, "number">, label: string): boolean {
  return WORDS[kind].includes(label);
}

/** Decimal digits stand in Unicode in whole runs of ten, so a digit's value is its distance from the start of its run. */
function asciiDigit(digit: string): string {
  const code = digit.codePointAt(0) ?? 0;
  let distance = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(code - distance - 1))) distance++;
  return String(distance % 10);
}
