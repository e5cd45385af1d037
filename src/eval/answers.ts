/**
 * Extracts answers from generated text and compares them with a label, by kind of task. The rules are in the text
 * fixtures' README ("Rules of the scores"); they follow LLM-Adapters' evaluation. Knows no model.
 */
import { ANSWER_KINDS, type AnswerKind } from "../data/examples.ts";

/** Greatest difference from the label at which a number is right. */
const TOLERANCE = 0.001;

/** The possible answer words, by kind. The first word found counts. */
const WORDS: Readonly<Record<Exclude<AnswerKind, "number">, readonly string[]>> = {
  letter: ["A", "B", "C", "D", "E"],
  "true-false": ["true", "false"],
  solution: ["solution1", "solution2"],
  answer: ["answer1", "answer2", "answer3", "answer4", "answer5"],
  ending: ["ending1", "ending2", "ending3", "ending4"],
  option: ["option1", "option2"],
};

/** The last number of a text, without commas; null where there is none. */
export function extractNumber(text: string): number | null {
  const found = text.replaceAll(",", "").match(/-?\p{Nd}+\.?\p{Nd}*/gu);
  const last = found?.at(-1);
  return last === undefined ? null : Number(last.replace(/\p{Nd}/gu, asciiDigit));
}

/** The first of the kind's words in a text, also inside a longer word; "" where there is none. */
export function extractWord(text: string, kind: Exclude<AnswerKind, "number">): string {
  return new RegExp(WORDS[kind].join("|")).exec(text)?.[0] ?? "";
}

/** A label as a number; null if it is not a number. */
export function numberLabel(label: string): number | null {
  const text = label.trim().replaceAll(",", "");
  const value = text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

/** Whether a number from a text equals the label. */
export function isSameNumber(found: number | null, label: number, tolerance = TOLERANCE): boolean {
  return found !== null && Math.abs(found - label) <= tolerance;
}

/** The kind whose words contain the label; undefined where no kind does. */
export function kindOfLabel(label: string): Exclude<AnswerKind, "number"> | undefined {
  return ANSWER_KINDS.filter((kind) => kind !== "number").find((kind) => WORDS[kind].includes(label));
}

/** Whether the label is one of the kind's words. */
export function isWordOf(kind: Exclude<AnswerKind, "number">, label: string): boolean {
  return WORDS[kind].includes(label);
}

/** Unicode has decimal digits in whole runs of ten. A digit's value is its distance from the start of its run. */
function asciiDigit(digit: string): string {
  const code = digit.codePointAt(0) ?? 0;
  let distance = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(code - distance - 1))) distance++;
  return String(distance % 10);
}
