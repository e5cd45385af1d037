/**
 * Metrics of a text_similarity grader, 0…1, each computed as by the library that OpenAI names or that is usual in the
 * field: rapidfuzz's ratio, sacrebleu's sentence BLEU, nltk's sentence GLEU, and the F-measures of Google's rouge_score
 * without stemming.
 */
import { corpusBleu } from "../eval/bleu.ts";

export const SIMILARITY_METRICS = [
  "fuzzy_match",
  "bleu",
  "gleu",
  "rouge_1",
  "rouge_2",
  "rouge_3",
  "rouge_4",
  "rouge_5",
  "rouge_l",
] as const;
export type SimilarityMetric = (typeof SIMILARITY_METRICS)[number];

const MAX_GLEU_ORDER = 4;

export function similarity(metric: SimilarityMetric, text: string, reference: string): number {
  switch (metric) {
    case "fuzzy_match":
      return fuzzyMatch(Array.from(text), Array.from(reference));
    case "bleu":
      return corpusBleu([text], [[reference]], { effectiveOrder: true }).score / 100;
    case "gleu":
      return gleu(words(text), words(reference));
    case "rouge_l": {
      const [a, b] = [rougeTokens(text), rougeTokens(reference)];
      return fMeasure(commonLength(a, b), a.length, b.length);
    }
    default:
      return rouge(rougeTokens(text), rougeTokens(reference), Number(metric.at(-1)));
  }
}

/** 1 − (insertions and deletions) / (both lengths): rapidfuzz's `fuzz.ratio` / 100. */
function fuzzyMatch(a: readonly string[], b: readonly string[]): number {
  return a.length + b.length === 0 ? 1 : (2 * commonLength(a, b)) / (a.length + b.length);
}

/** Wu et al. 2016, arXiv 1609.08144: the lesser of precision and recall of all n-grams up to 4. */
function gleu(a: readonly string[], b: readonly string[]): number {
  let [matches, inText, inReference] = [0, 0, 0];
  for (let order = 1; order <= MAX_GLEU_ORDER; order++) {
    const [left, right] = [ngrams(a, order), ngrams(b, order)];
    matches += overlap(left, right);
    inText += Math.max(0, a.length - order + 1);
    inReference += Math.max(0, b.length - order + 1);
  }
  return matches === 0 ? 0 : matches / Math.max(inText, inReference);
}

function rouge(a: readonly string[], b: readonly string[], order: number): number {
  return fMeasure(overlap(ngrams(a, order), ngrams(b, order)), a.length - order + 1, b.length - order + 1);
}

function fMeasure(matches: number, inText: number, inReference: number): number {
  return matches === 0 ? 0 : (2 * matches) / (inText + inReference);
}

const words = (text: string): readonly string[] => text.split(/\s+/).filter(Boolean);

const rougeTokens = (text: string): readonly string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

/** Counts by n-gram. No token contains the separator. */
function ngrams(tokens: readonly string[], order: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + order <= tokens.length; start++) {
    const ngram = tokens.slice(start, start + order).join(" ");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

function overlap(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [ngram, count] of a) sum += Math.min(count, b.get(ngram) ?? 0);
  return sum;
}

/** Length of the longest common subsequence. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  let row = new Uint32Array(b.length + 1);
  for (const token of a) {
    const next = new Uint32Array(b.length + 1);
    for (let j = 1; j <= b.length; j++)
      next[j] = token === b[j - 1] ? (row[j - 1] ?? 0) + 1 : Math.max(row[j] ?? 0, next[j - 1] ?? 0);
    row = next;
  }
  return row[b.length] ?? 0;
}
