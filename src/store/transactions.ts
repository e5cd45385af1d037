/** Transactions of the store, counted so that closing can wait for them. Knows no table but the root. */
import type { RootDatabase } from "lmdb";

export class Transactions {
  readonly #root: RootDatabase;
  readonly #running = new Set<Promise<unknown>>();

  constructor(root: RootDatabase) {
    this.#root = root;
  }

  /** Runs `change` in a transaction that takes back everything when it throws. Resolves when others see the change. */
  async commit<T>(change: () => T): Promise<T> {
    const write = this.#root.childTransaction(change as () => Promise<T>);
    this.#running.add(write);
    try {
      return await write;
    } finally {
      this.#running.delete(write);
    }
  }

  /** The same, but resolves when the change is on disk: a commit is visible, not yet safe from a power cut. */
  async write<T>(change: () => T): Promise<T> {
    const result = await this.commit(change);
    await this.#root.flushed;
    return result;
  }

  /** Resolves when none is running; one may start another. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}
