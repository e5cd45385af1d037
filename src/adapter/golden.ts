/**
 * Golden answers on a card: a few token sequences with the log-probability that the trained adapter gave their ends. An
 * upload runs them again. Knows nothing of engines. Source: docs/reference/mosara-file.md.
 */
import type { Card, CardValue } from "./adapter.ts";
import { isPlainMap } from "./adapter-check.ts";

/** Maximum number of tokens of one sequence, so that the sequence is one chunk. */
export const MAX_GOLDEN_TOKENS = 64;
/** Maximum number of sequences on one card. */
const MAX_GOLDEN = 8;

export interface GoldenAnswer {
  readonly ids: readonly number[];
  /** The tokens from this position on are scored. At least 1, because nothing precedes the first token. */
  readonly from: number;
  /** Mean log-probability of the scored tokens, in nats. */
  readonly logprob: number;
}

/** The golden answers of a card; null: they have an unknown form. */
export function goldenAnswers({ golden = [] }: Card): readonly GoldenAnswer[] | null {
  if (!Array.isArray(golden) || golden.length > MAX_GOLDEN) return null;
  const answers = (golden as readonly CardValue[]).flatMap((value) => goldenAnswer(value) ?? []);
  return answers.length === golden.length ? answers : null;
}

function goldenAnswer(value: CardValue): GoldenAnswer | null {
  if (!isPlainMap(value)) return null;
  const { ids, from, logprob } = value;
  if (!Array.isArray(ids) || ids.length > MAX_GOLDEN_TOKENS || !ids.every(isIndex)) return null;
  if (!isIndex(from) || from < 1 || from >= ids.length) return null;
  if (typeof logprob !== "number" || !Number.isFinite(logprob)) return null;
  return { ids, from, logprob };
}

function isIndex(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
}
