/**
 * A heap of token pairs, the most frequent first. Among equal counts, the smaller left id is first, then the smaller
 * right id.
 * Entries become stale when counts fall. The caller compares an entry with the current count and puts it back if it
 * differs. Indices are bounded by their loops, hence `!`.
 */

/** Ids of tokens stay below this, so that a pair is one exact number. */
export const MAX_ID = 2 ** 24;

/** A pair as one number. Numbers have the order of their pairs. */
export function pairKey(left: number, right: number): number {
  return left * MAX_ID + right;
}

export class PairHeap {
  readonly #keys: number[] = [];
  readonly #counts: number[] = [];

  get size(): number {
    return this.#keys.length;
  }

  push(key: number, count: number): void {
    let at = this.#keys.length;
    this.#keys.push(key);
    this.#counts.push(count);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  pop(): { readonly key: number; readonly count: number } | undefined {
    if (this.#keys.length === 0) return undefined;
    const top = { key: this.#keys[0]!, count: this.#counts[0]! };
    const [key, count] = [this.#keys.pop()!, this.#counts.pop()!];
    if (this.#keys.length > 0) {
      this.#keys[0] = key;
      this.#counts[0] = count;
      this.#sink();
    }
    return top;
  }

  #sink(): void {
    const size = this.#keys.length;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      let best = at;
      if (left < size && this.#isBefore(left, best)) best = left;
      if (left + 1 < size && this.#isBefore(left + 1, best)) best = left + 1;
      if (best === at) return;
      this.#swap(at, best);
      at = best;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [countA, countB] = [this.#counts[a]!, this.#counts[b]!];
    return countA === countB ? this.#keys[a]! < this.#keys[b]! : countA > countB;
  }

  #swap(a: number, b: number): void {
    [this.#keys[a], this.#keys[b]] = [this.#keys[b]!, this.#keys[a]!];
    [this.#counts[a], this.#counts[b]] = [this.#counts[b]!, this.#counts[a]!];
  }
}
