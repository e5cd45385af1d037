/**
 * The metrics of `mosara eval`. Each computes statistics of an item that
 * can be summed, and scores the sum. One bootstrap therefore serves all.
 * A metric of generated text also checks that an example has the fields it needs. Knows no engine.
 */
import { quote } from "../errors.ts";
import { type AnswerKind, type Example, lastLearntTurn } from "../data/examples.ts";
import { lineError } from "../data/lines.ts";
import { extractNumber, extractWord, isSameNumber, isWordOf, kindOfLabel, numberLabel } from "./answers.ts";
import { bleuOfStatistics, bleuStatistics } from "./bleu.ts";

export type TextMetricName = "exact" | "contains" | "number" | "choice" | "bleu";
export type MetricName = "loss" | TextMetricName;

/** The judgement of a generated text: statistics to sum, and fields for a reader of the predictions. */
export interface Judgement {
  readonly statistics: Float64Array;
  /** Fields of the prediction's line. */
  readonly notes: Readonly<Record<string, unknown>>;
}

/** A text metric prepared for one example. */
export interface Judge {
  /** The reference for the text, for a reader. */
  readonly expected: readonly string[];
  judge(text: string): Judgement;
}

export interface TextMetric {
  /** @throws {AppError} data_invalid, naming file and line, where the example lacks a field that the metric needs. */
  judgeFor(example: Example): Judge;
}

/** Score of summed statistics: BLEU from 0 to 100, a loss in nats per token, every other metric a share from 0 to 1. */
export function scoreOf(metric: MetricName, sum: Float64Array): number {
  if (metric === "bleu") return bleuOfStatistics(sum).score;
  const [total = 0, count = 0] = sum;
  return total / count;
}

/** Statistics of a loss: its sum over tokens, and their number. */
export function lossStatistics(sum: number, numTokens: number): Float64Array {
  return Float64Array.of(sum, numTokens);
}

export const TEXT_METRICS: Readonly<Record<TextMetricName, TextMetric>> = {
  exact: {
    judgeFor: (example) => {
      const expected = expectedTexts(example);
      return { expected, judge: (text) => judged(expected.some((wanted) => wanted.trim() === text.trim())) };
    },
  },
  contains: {
    judgeFor: (example) => {
      const expected = expectedTexts(example);
      return { expected, judge: (text) => judged(expected.some((wanted) => text.includes(wanted.trim()))) };
    },
  },
  number: {
    judgeFor: (example) => {
      const { text: wanted, label } = expectedNumber(example);
      return {
        expected: [wanted],
        judge: (text) => {
          const extracted = extractNumber(text);
          return judged(isSameNumber(extracted, label), { extracted });
        },
      };
    },
  },
  choice: {
    judgeFor: (example) => {
      const { label, kind } = expectedWord(example);
      return {
        expected: [label],
        judge: (text) => {
          const extracted = extractWord(text, kind);
          return judged(extracted === label, { extracted });
        },
      };
    },
  },
  bleu: {
    judgeFor: (example) => {
      const expected = expectedTexts(example);
      return { expected, judge: (text) => ({ statistics: bleuStatistics(text, expected), notes: {} }) };
    },
  },
};

function judged(isRight: boolean, notes: Readonly<Record<string, unknown>> = {}): Judgement {
  return { statistics: Float64Array.of(isRight ? 1 : 0, 1), notes: { ...notes, right: isRight } };
}

/** The right texts: the references, otherwise the completion, otherwise the answer. */
function expectedTexts(example: Example): readonly string[] {
  if (example.references !== null) return example.references;
  if (example.form === "messages") return [lastLearntTurn(example).text];
  return [example.completion ?? example.answer ?? ""]; // one of the three exists
}

function expectedNumber(example: Example): { readonly text: string; readonly label: number } {
  const { answer } = example;
  if (example.answerKind !== null && example.answerKind !== "number")
    throw lineError(
      example.file,
      example.line,
      `the kind of the answer is "${example.answerKind}"; use --metric choice.`,
    );
  const [text = ""] = answer === null ? expectedTexts(example) : [answer];
  const label = answer === null ? extractNumber(text) : numberLabel(answer);
  if (label === null)
    throw lineError(example.file, example.line, `a number was expected as the answer, found ${quote(text)}.`);
  return { text, label };
}

function expectedWord(example: Example): { readonly label: string; readonly kind: Exclude<AnswerKind, "number"> } {
  const label = example.answer;
  if (label === null)
    throw lineError(example.file, example.line, '"answer" is missing, which --metric choice compares with.');
  const kind = example.answerKind ?? kindOfLabel(label);
  if (kind === "number")
    throw lineError(example.file, example.line, 'the kind of the answer is "number"; use --metric number.');
  if (kind === undefined || !isWordOf(kind, label))
    throw lineError(
      example.file,
      example.line,
      `the answer ${quote(label)} is not a word of ${kind === undefined ? "any kind" : `the kind "${kind}"`}. Correct "answer" or "kind".`,
    );
  return { label, kind };
}
