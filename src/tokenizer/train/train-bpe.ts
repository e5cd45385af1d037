/**
 * Byte-pair encoding learned from counted words: the most frequent pair of neighbours repeatedly becomes a token, with
 * ties to the smaller ids. Counts are updated word by word, so the cost of a merge is proportional to its changes.
 * Knows no files and no regex. Source: Sennrich et al. (2016); order and ties as the `tokenizers` package's BpeTrainer
 * has them. Indices are bounded by their loops, hence `!`.
 */
import { MAX_ID, PairHeap, pairKey } from "./pair-heap.ts";

export interface BpeOptions {
  /** Maximum number of tokens, including the alphabet and the reserved ids. */
  readonly vocabSize: number;
  /** Pairs with a lower count are not merged. */
  readonly minCount: number;
  /** Ids before the alphabet, reserved for special tokens. */
  readonly numReserved: number;
  readonly onProgress?: (done: number) => void;
}

export interface TrainedBpe {
  /** Ids from `numReserved` on, in their order. */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/** @param words character strings over `alphabet`, with how often each occurs; their order does not matter. */
export function trainBpe(
  words: ReadonlyMap<string, number>,
  alphabet: readonly string[],
  options: BpeOptions,
): TrainedBpe {
  const { vocabSize, minCount, numReserved } = options;
  const tokens = [...alphabet];
  const ids = new Map(tokens.map((token, i) => [token, numReserved + i]));
  const corpus = new Corpus(words, ids);
  const merges: (readonly [string, string])[] = [];
  const merged = new Set<number>();
  const wanted = Math.min(vocabSize, MAX_ID) - numReserved;
  while (tokens.length < wanted) {
    const key = corpus.takeMostFrequent(minCount);
    if (key === undefined) break;
    const [left, right] = [Math.floor(key / MAX_ID), key % MAX_ID];
    const [a, b] = [tokens[left - numReserved]!, tokens[right - numReserved]!];
    let id = ids.get(a + b); // two ways may lead to the same token
    if (id === undefined) {
      id = numReserved + tokens.length;
      ids.set(a + b, id);
      tokens.push(a + b);
    }
    if (!merged.has(key)) merges.push([a, b]);
    merged.add(key);
    corpus.merge(left, right, id);
    options.onProgress?.(tokens.length / wanted);
  }
  return { tokens, merges };
}

/** Words as ids, with the counts of their pairs. */
class Corpus {
  readonly #words: Int32Array[] = [];
  readonly #wordCounts: number[] = [];
  readonly #pairCounts = new Map<number, number>();
  /** Words that contained a pair when it was last counted up. Some may have lost it. */
  readonly #homes = new Map<number, number[]>();
  readonly #heap = new PairHeap();

  constructor(words: ReadonlyMap<string, number>, ids: ReadonlyMap<string, number>) {
    for (const [word, count] of words) {
      const index = this.#words.push(Int32Array.from(word, (character) => idOf(ids, character))) - 1;
      this.#wordCounts.push(count);
      const letters = this.#words[index]!;
      for (let i = 1; i < letters.length; i++) this.#count(pairKey(letters[i - 1]!, letters[i]!), count, index);
    }
    for (const [key, count] of this.#pairCounts) this.#heap.push(key, count);
  }

  /** Removes and returns the pair to merge next; undefined where none is frequent enough. */
  takeMostFrequent(minCount: number): number | undefined {
    for (let top = this.#heap.pop(); top !== undefined; top = this.#heap.pop()) {
      const count = this.#pairCounts.get(top.key) ?? 0;
      if (count === top.count) return count >= Math.max(1, minCount) ? top.key : undefined;
      if (count > 0) this.#heap.push(top.key, count);
    }
    return undefined;
  }

  /** Replaces every occurrence of the pair by `id`. */
  merge(left: number, right: number, id: number): void {
    const key = pairKey(left, right);
    const homes = this.#homes.get(key) ?? [];
    const grown = new Set<number>();
    const seen = new Set<number>();
    for (const index of homes) {
      if (seen.has(index)) continue;
      seen.add(index);
      this.#mergeWord(index, left, right, id, grown);
    }
    this.#pairCounts.delete(key);
    this.#homes.delete(key);
    for (const pair of grown) {
      const count = this.#pairCounts.get(pair) ?? 0;
      if (count > 0) this.#heap.push(pair, count);
    }
  }

  #mergeWord(index: number, left: number, right: number, id: number, grown: Set<number>): void {
    const word = this.#words[index]!;
    const count = this.#wordCounts[index]!;
    let length = 0; // of the new word, written over the old one
    for (let i = 0; i < word.length; i++) {
      if (word[i] !== left || word[i + 1] !== right) {
        word[length++] = word[i]!;
        continue;
      }
      const before = length > 0 ? word[length - 1]! : -1;
      const after = i + 2 < word.length ? word[i + 2]! : -1;
      if (before >= 0) this.#replace(pairKey(before, left), pairKey(before, id), count, index, grown);
      if (after >= 0) this.#replace(pairKey(right, after), pairKey(id, after), count, index, grown);
      word[length++] = id;
      i++;
    }
    this.#words[index] = word.subarray(0, length);
  }

  #replace(gone: number, made: number, count: number, index: number, grown: Set<number>): void {
    this.#pairCounts.set(gone, (this.#pairCounts.get(gone) ?? 0) - count);
    this.#count(made, count, index);
    grown.add(made);
  }

  #count(key: number, count: number, index: number): void {
    this.#pairCounts.set(key, (this.#pairCounts.get(key) ?? 0) + count);
    const homes = this.#homes.get(key);
    if (homes === undefined) this.#homes.set(key, [index]);
    else if (homes.at(-1) !== index) homes.push(index);
  }
}

function idOf(ids: ReadonlyMap<string, number>, character: string): number {
  const id = ids.get(character);
  if (id === undefined) throw new Error(`internal: ${JSON.stringify(character)} is not in the alphabet`);
  return id;
}
