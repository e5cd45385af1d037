/** Transactions of the store, counted so that closing can wait for them. Knows no table but the root. */
import type { RootDatabase } from "lmdb";

export class Transactions {
  readonly #root: RootDatabase;
  readonly #running = new Set<Promise<unknown>>();

  constructor(root: RootDatabase) {
    this.#root = root;
  }

  /** Runs `change` in a transaction that is rolled back when it throws. Resolves when others see the change. */
  async commit<T>(change: () => T): Promise<T> {
    const write = this.#root.childTransaction(change as () => Promise<T>);
    this.#running.add(write);
    try {
      return await write;
    } finally {
      this.#running.delete(write);
    }
  }

  /** Runs `change` like `commit`, but resolves when the change is on disk. A commit that is visible may not yet survive a power cut. */
  async write<T>(change: () => T): Promise<T> {
    const result = await this.commit(change);
    await this.#root.flushed;
    return result;
  }

  /** Resolves when no transaction is running; a new one may start meanwhile. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}
