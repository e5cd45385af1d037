/**
 * The merges of a BPE model: the rank of each pair of tokens. Large models have half a million pairs, so pairs of
 * vocabulary ids are in one hash table of numbers. Strings as keys take seconds.
 */
import { type JsonString, afterSpace, newJsonString, readString, valueOf } from "./json-text.ts";
import { GREATEST_ID, NO_ID, type TokenIndex } from "./token-index.ts";

const START_CAPACITY = 1 << 12;
const ENTRY = 3;

export class MergeRanks {
  readonly #ids: ReadonlyMap<string, number>;
  /** Open addressing; an entry is [left id, right id, rank]. The capacity is a power of two. */
  #entries = new Int32Array(ENTRY * START_CAPACITY).fill(NO_ID);
  #numEntries = 0;
  /** Pairs with a part that is not in the vocabulary, by their JSON text. */
  readonly #others = new Map<string, number>();

  /** @param ids of the vocabulary */
  constructor(ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
  }

  /** A pair that occurs twice has the later rank. */
  add(left: string, right: string, rank: number): void {
    const [leftId, rightId] = [this.#idOf(left), this.#idOf(right)];
    if (leftId === NO_ID || rightId === NO_ID) this.#others.set(JSON.stringify([left, right]), rank);
    else this.addIds(leftId, rightId, rank);
  }

  /** @param left an id of the vocabulary, at most `GREATEST_ID`. @param right likewise */
  addIds(left: number, right: number, rank: number): void {
    if (2 * ENTRY * this.#numEntries >= this.#entries.length) this.#grow();
    const at = placeOfPair(this.#entries, left, right);
    if (this.#entries[at] === NO_ID) this.#numEntries++;
    this.#entries[at] = left;
    this.#entries[at + 1] = right;
    this.#entries[at + 2] = rank;
  }

  /** The rank of a pair; undefined where the two are not merged. */
  rankOf(left: string, right: string): number | undefined {
    const [leftId, rightId] = [this.#idOf(left), this.#idOf(right)];
    if (leftId === NO_ID || rightId === NO_ID)
      return this.#others.size === 0 ? undefined : this.#others.get(JSON.stringify([left, right]));
    const at = placeOfPair(this.#entries, leftId, rightId);
    return this.#entries[at] === NO_ID ? undefined : this.#entries[at + 2];
  }

  #idOf(token: string): number {
    const id = this.#ids.get(token);
    return id !== undefined && Number.isInteger(id) && id >= 0 && id <= GREATEST_ID ? id : NO_ID;
  }

  #grow(): void {
    const older = this.#entries;
    const entries = new Int32Array(2 * older.length).fill(NO_ID);
    for (let from = 0; from < older.length; from += ENTRY) {
      const [left = NO_ID, right = NO_ID] = [older[from], older[from + 1]];
      if (left !== NO_ID) entries.set(older.subarray(from, from + ENTRY), placeOfPair(entries, left, right));
    }
    this.#entries = entries;
  }
}

/** The place of a pair, or the empty place where it belongs. Some places are empty. */
function placeOfPair(entries: Int32Array, left: number, right: number): number {
  const mask = entries.length / ENTRY - 1;
  const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  for (let slot = (mixed ^ (mixed >>> 15)) & mask; ; slot = (slot + 1) & mask) {
    const at = ENTRY * slot;
    if (entries[at] === NO_ID || (entries[at] === left && entries[at + 1] === right)) return at;
  }
}

/** Whether the model of a parsed tokenizer.json has merges. */
export function hasMerges(model: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(model.merges) || model.merges instanceof MergeRanks;
}

/** The merges of a parsed tokenizer.json: pairs, or texts with a space between the parts. */
export function mergeRanks(merges: readonly unknown[], ids: ReadonlyMap<string, number>): MergeRanks {
  const ranks = new MergeRanks(ids);
  for (const [rank, merge] of merges.entries()) {
    const parts = typeof merge === "string" ? merge.split(" ", 2) : (merge as readonly string[]);
    ranks.add(parts[0] ?? "", parts[1] ?? "", rank);
  }
  return ranks;
}

/**
 * Reads the list of merges at `from`, the place of its bracket. @param index of the same vocabulary
 * @returns the merges, and the place after the list; null where the text is not as expected
 */
export function readMerges(
  text: string,
  from: number,
  ids: ReadonlyMap<string, number>,
  index: TokenIndex,
): { readonly ranks: MergeRanks; readonly to: number } | null {
  const ranks = new MergeRanks(ids);
  const [left, right] = [newJsonString(), newJsonString()];
  let at = afterSpace(text, from + 1);
  if (text[at] === "]") return { ranks, to: at + 1 };
  for (let rank = 0; ; rank++) {
    const isPair = text[at] === "[";
    const after = isPair ? readPair(text, at, left, right) : readString(text, at, left) ? left.end + 1 : null;
    if (after === null || !addRead(ranks, text, isPair ? [left, right] : [left], rank, index)) return null;
    at = afterSpace(text, after);
    if (text[at] === "]") return { ranks, to: at + 1 };
    if (text[at] !== ",") return null;
    at = afterSpace(text, at + 1);
  }
}

/** @returns the place after the pair; null where there is no pair of strings */
function readPair(text: string, from: number, left: JsonString, right: JsonString): number | null {
  if (!readString(text, afterSpace(text, from + 1), left)) return null;
  const comma = afterSpace(text, left.end + 1);
  if (text[comma] !== "," || !readString(text, afterSpace(text, comma + 1), right)) return null;
  const to = afterSpace(text, right.end + 1);
  return text[to] === "]" ? to + 1 : null;
}

/** @param parts a pair, or one text with a space in it. @returns false where a part is not JSON */
function addRead(
  ranks: MergeRanks,
  text: string,
  [left, right]: readonly [JsonString, JsonString?],
  rank: number,
  index: TokenIndex,
): boolean {
  const [leftId, rightId] = right ? [index.find(left), index.find(right)] : [NO_ID, NO_ID];
  if (leftId !== NO_ID && rightId !== NO_ID) {
    ranks.addIds(leftId, rightId, rank);
    return true;
  }
  const values = right ? [valueOf(text, left), valueOf(text, right)] : valueOf(text, left)?.split(" ", 2);
  const [first = "", second = ""] = values ?? [null];
  if (first === null || second === null) return false;
  ranks.add(first, second, rank);
  return true;
}
