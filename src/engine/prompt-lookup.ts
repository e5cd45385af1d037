/**
 * Prompt lookup: guesses the next tokens of an answer as those that followed an earlier occurrence of its last tokens,
 * in the prompt or in the answer. It finds text that the answer quotes, and text that it repeats. Source of the idea:
 * prompt lookup decoding (Saxena 2023), which vLLM calls "ngram".
 */
// Indices are bounded by the number of tokens, hence `!`.

/** Least number of tokens that must agree. */
const MIN_MATCH = 2;
/** Agreement of more tokens than this does not make a better match. */
const MAX_MATCH = 16;
/** Earlier occurrences that are compared, latest first. */
const MAX_CANDIDATES = 32;

/** Greater than every token id. */
const ID_LIMIT = 2 ** 26;

/** Tokens that followed in earlier text. */
export interface TextDraft {
  readonly ids: readonly number[];
  /** Number of tokens before them that agree with the earlier text, at most 16. */
  readonly matchLength: number;
}

interface Match {
  /** Index after the earlier text. */
  readonly source: number;
  readonly length: number;
}

const NO_MATCH: Match = { source: 0, length: 0 };

export class PromptLookup {
  readonly #ids: number[] = [];
  /** For each pair of tokens: the index after its latest occurrence. */
  readonly #latest = new Map<number, number>();
  /** For each index after a pair: the index after the occurrence before it; −1: there is none. */
  readonly #earlier: number[] = [];

  constructor(promptIds: Iterable<number>) {
    for (const id of promptIds) this.read(id);
  }

  /** Adds a token of the answer. */
  read(id: number): void {
    const end = this.#ids.push(id);
    const key = end < MIN_MATCH ? null : pairKey(this.#ids[end - 2]!, id);
    this.#earlier[end] = key === null ? -1 : (this.#latest.get(key) ?? -1);
    if (key !== null) this.#latest.set(key, end);
  }

  /**
   * The tokens that probably come next.
   * @param max greatest number of them
   * @param begun tokens that are taken to come before them
   * @returns none where the last two tokens have not come before
   */
  draft(max: number, begun: readonly number[] = []): TextDraft {
    const text = [...begun];
    const at = (index: number): number => this.#ids[index] ?? text[index - this.#ids.length]!;
    const end = this.#ids.length + text.length;
    const { source, length } = end < MIN_MATCH ? NO_MATCH : this.#bestMatch(at, end);
    if (length === 0) return { ids: [], matchLength: 0 };
    // The copied text may overlap its source, as in text with a short period.
    for (let i = 0; i < max; i++) text.push(at(source + i));
    return { ids: text.slice(begun.length), matchLength: length };
  }

  /** The earlier text that agrees with the most tokens before `end`; of several, the latest. */
  #bestMatch(at: (index: number) => number, end: number): Match {
    let best = NO_MATCH;
    let candidate = this.#latest.get(pairKey(at(end - 2), at(end - 1))) ?? -1;
    if (candidate === end) candidate = this.#earlier[candidate]!;
    for (let left = MAX_CANDIDATES; left > 0 && candidate > 0; left--, candidate = this.#earlier[candidate]!) {
      let length = 0;
      while (length < Math.min(MAX_MATCH, candidate) && at(candidate - 1 - length) === at(end - 1 - length)) length++;
      if (length > best.length) best = { source: candidate, length };
    }
    return best;
  }
}

const pairKey = (first: number, second: number): number => first * ID_LIMIT + second;
