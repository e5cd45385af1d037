/**
 * Corpus BLEU as sacrebleu 2 counts it: tokens of mteval-v13a, clipped n-gram counts up to 4, closest reference length,
 * smoothing. Counts of single segments add up to those of a corpus, so that a bootstrap can resample them. Source:
 * Papineni et al. (2002), Post (2018); golden cases in the text fixtures. Indices are bounded by their loops, hence
 * `!`.
 */

const MAX_ORDER = 4;
/** Matches, candidates (each by n-gram order), length of the hypothesis, of the closest reference. */
const NUM_STATISTICS = 2 * MAX_ORDER + 2;

/** sacrebleu's options under our names. An absent option has sacrebleu's default. */
export interface BleuOptions {
  readonly tokenize?: "13a" | "none";
  readonly lowercase?: boolean;
  readonly smoothMethod?: "exp" | "floor" | "add-k" | "none";
  /** 0.1 for floor, 1 for add-k. */
  readonly smoothValue?: number;
  /** Whether the average is over the orders with candidates only. */
  readonly effectiveOrder?: boolean;
}

export interface BleuScore {
  /** 0…100. */
  readonly score: number;
  readonly counts: readonly number[];
  readonly totals: readonly number[];
  /** Percentages after smoothing. */
  readonly precisions: readonly number[];
  readonly brevityPenalty: number;
  readonly hypothesisLength: number;
  readonly referenceLength: number;
}

/** The characters that Python's `str.split` and `rstrip` treat as white space. */
const SPACE_RUN = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+`;
const SPACE = new RegExp(SPACE_RUN);
const SPACE_AT_END = new RegExp(`${SPACE_RUN}$`);

/** Score of a corpus. `references[i]` are the references of `hypotheses[i]`, at least one. */
export function corpusBleu(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
  options: BleuOptions = {},
): BleuScore {
  const sum = new Float64Array(NUM_STATISTICS);
  hypotheses.forEach((hypothesis, i) =>
    bleuStatistics(hypothesis, references[i] ?? [], options).forEach((value, j) => (sum[j]! += value)),
  );
  return bleuOfStatistics(sum, options);
}

/** Statistics of one segment, which can be summed. @returns float64 [10]: 4 matches, 4 candidates, 2 lengths. */
export function bleuStatistics(
  hypothesis: string,
  references: readonly string[],
  options: BleuOptions = {},
): Float64Array {
  if (references.length === 0) throw new Error("internal: a hypothesis without references");
  const tokens = tokenize(hypothesis, options);
  const candidates = countNgrams(tokens);
  const allowed = new Map<string, number>();
  let closest = -1;
  for (const reference of references) {
    const words = tokenize(reference, options);
    for (const [ngram, count] of countNgrams(words)) allowed.set(ngram, Math.max(allowed.get(ngram) ?? 0, count));
    closest = closer(tokens.length, closest, words.length);
  }
  const statistics = new Float64Array(NUM_STATISTICS);
  for (const [ngram, count] of candidates) {
    const order = ngram.split(" ").length - 1;
    statistics[order]! += Math.min(count, allowed.get(ngram) ?? 0);
    statistics[MAX_ORDER + order]! += count;
  }
  statistics[2 * MAX_ORDER] = tokens.length;
  statistics[2 * MAX_ORDER + 1] = closest;
  return statistics;
}

/** The score of summed statistics. */
export function bleuOfStatistics(sum: Float64Array, options: BleuOptions = {}): BleuScore {
  const counts = [...sum.subarray(0, MAX_ORDER)];
  const totals = [...sum.subarray(MAX_ORDER, 2 * MAX_ORDER)];
  const hypothesisLength = sum[2 * MAX_ORDER]!;
  const referenceLength = sum[2 * MAX_ORDER + 1]!;
  const brevityPenalty =
    hypothesisLength >= referenceLength
      ? 1
      : hypothesisLength === 0
        ? 0
        : Math.exp(1 - referenceLength / hypothesisLength);
  const facts = { brevityPenalty, hypothesisLength, referenceLength };
  if (counts.every((count) => count === 0))
    return { score: 0, counts, totals, precisions: counts.map(() => 0), ...facts };
  if (options.smoothMethod === "add-k") {
    const added = options.smoothValue ?? 1;
    for (let n = 1; n < MAX_ORDER; n++) {
      counts[n]! += added;
      totals[n]! += added;
    }
  }
  const { precisions, numOrders } = smooth(counts, totals, options);
  // An order without a candidate has precision 0, and the geometric mean is 0 too.
  const mean = precisions.slice(0, numOrders).reduce((log, p) => log + (p > 0 ? Math.log(p) : -Infinity), 0);
  return { score: brevityPenalty * Math.exp(mean / numOrders), counts, totals, precisions, ...facts };
}

function smooth(
  counts: readonly number[],
  totals: readonly number[],
  { smoothMethod = "exp", smoothValue = 0.1, effectiveOrder = false }: BleuOptions,
): { precisions: number[]; numOrders: number } {
  const precisions = counts.map(() => 0);
  let numOrders = MAX_ORDER;
  let halving = 1;
  for (let n = 0; n < MAX_ORDER && totals[n]! > 0; n++) {
    if (effectiveOrder) numOrders = n + 1;
    if (counts[n]! > 0) precisions[n] = (100 * counts[n]!) / totals[n]!;
    else if (smoothMethod === "exp") precisions[n] = 100 / ((halving *= 2) * totals[n]!);
    else if (smoothMethod === "floor") precisions[n] = (100 * smoothValue) / totals[n]!;
  }
  return { precisions, numOrders };
}

/** The reference length closer to that of the hypothesis, the shorter one on a tie; −1 means none so far. */
function closer(length: number, best: number, candidate: number): number {
  if (best < 0) return candidate;
  const difference = Math.abs(length - candidate) - Math.abs(length - best);
  return difference < 0 || (difference === 0 && candidate < best) ? candidate : best;
}

/** Counts by n-gram. Its tokens are joined by spaces, because no token contains one. */
function countNgrams(tokens: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start < tokens.length; start++) {
    let ngram = "";
    for (let n = 0; n < MAX_ORDER && start + n < tokens.length; n++) {
      ngram = n === 0 ? tokens[start]! : `${ngram} ${tokens[start + n]!}`;
      counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
    }
  }
  return counts;
}

function tokenize(segment: string, { tokenize: kind = "13a", lowercase = false }: BleuOptions): string[] {
  const cased = lowercase ? segment.toLowerCase() : segment;
  const text = cased.replace(SPACE_AT_END, "");
  return (kind === "13a" ? split13a(text) : text).split(SPACE).filter((token) => token !== "");
}

/** Puts spaces where mteval-v13a splits. */
function split13a(text: string): string {
  const plain = text
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "")
    .replaceAll("\n", " ")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  return ` ${plain} `
    .replace(/[{-~[-` -&(-+:-@/]/g, " $& ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/g, "$1 $2 ");
}
