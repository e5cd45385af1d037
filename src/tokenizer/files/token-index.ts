/**
 * The tokens of a vocabulary by their spelling in tokenizer.json. The merges name a million tokens, which are looked up
 * here without making a string of each. Characters of the document's text are compared.
 */
import type { JsonString } from "./json-text.ts";

const START_CAPACITY = 1 << 12;
const ENTRY = 4;
export const NO_ID = -1;
/** Greatest id that the tables of numbers hold. */
export const GREATEST_ID = 2 ** 31 - 1;

export class TokenIndex {
  readonly #text: string;
  /** Open addressing; an entry is [hash, place, length, id]. The capacity is a power of two. */
  #entries = new Int32Array(ENTRY * START_CAPACITY).fill(NO_ID);
  #numEntries = 0;

  /** @param text the document */
  constructor(text: string) {
    this.#text = text;
  }

  /** A spelling that occurs again gets the later id. Ids beyond `GREATEST_ID` are left out. */
  add({ hash, from, end }: JsonString, id: number): void {
    if (id > GREATEST_ID) return;
    if (2 * ENTRY * this.#numEntries >= this.#entries.length) this.#grow();
    const at = this.#placeOf(hash, from + 1, end - from - 1);
    if (this.#entries[at + 3] === NO_ID) this.#numEntries++;
    this.#entries[at] = hash;
    this.#entries[at + 1] = from + 1;
    this.#entries[at + 2] = end - from - 1;
    this.#entries[at + 3] = id;
  }

  /** `NO_ID` where no token has this spelling. A token may still have this value, in another spelling. */
  find({ hash, from, end }: JsonString): number {
    return this.#entries[this.#placeOf(hash, from + 1, end - from - 1) + 3] ?? NO_ID;
  }

  /** The place of a spelling, or the empty place where it belongs. */
  #placeOf(hash: number, from: number, length: number): number {
    const entries = this.#entries;
    const mask = entries.length / ENTRY - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = ENTRY * slot;
      if (entries[at + 3] === NO_ID) return at;
      if (entries[at] === hash && entries[at + 2] === length && this.#isEqual(entries[at + 1] ?? 0, from, length))
        return at;
    }
  }

  #isEqual(a: number, b: number, length: number): boolean {
    for (let i = 0; i < length; i++) if (this.#text.charCodeAt(a + i) !== this.#text.charCodeAt(b + i)) return false;
    return true;
  }

  #grow(): void {
    const older = this.#entries;
    const entries = new Int32Array(2 * older.length).fill(NO_ID);
    const mask = entries.length / ENTRY - 1;
    for (let from = 0; from < older.length; from += ENTRY) {
      if (older[from + 3] === NO_ID) continue;
      let slot = (older[from] ?? 0) & mask;
      while (entries[ENTRY * slot + 3] !== NO_ID) slot = (slot + 1) & mask;
      entries.set(older.subarray(from, from + ENTRY), ENTRY * slot);
    }
    this.#entries = entries;
  }
}
