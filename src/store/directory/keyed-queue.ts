/**
 * Runs work in order: pieces of work with the same key never overlap, and run in the order in which they were added.
 */
export class KeyedQueue {
  /** The last work of each key. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` after earlier work of this key has ended, even if that failed. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = (async () => {
      await before?.catch(() => undefined); // its own caller receives the error
      return work();
    })();
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }

  /** Resolves when nothing runs or waits. */
  async settle(): Promise<void> {
    while (this.#last.size > 0) await Promise.allSettled(this.#last.values());
  }
}
