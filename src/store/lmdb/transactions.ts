/** Transactions of the store, counted so that closing can wait for them. Knows no table but the root. */
import type { Database, Key, RootDatabase } from "lmdb";
import type { AppError } from "../../errors.ts";
import { type DiskRoom, notWritten } from "./disk-room.ts";

/**
 * The message with which lmdb reports that a transaction could not be committed. The promise rejects with the system's
 * reason.
 */
interface CommitFailure extends Error {
  readonly commitError: Promise<unknown>;
}

export class Transactions {
  readonly #root: RootDatabase;
  readonly #room: DiskRoom;
  readonly #running = new Set<Promise<unknown>>();

  constructor(root: RootDatabase, room: DiskRoom) {
    this.#root = root;
    this.#room = room;
  }

  /**
   * Runs `change` in a transaction that is rolled back when it throws. Resolves when others see the change.
   * @param bytes of the contents that it adds @throws {AppError} store_failed
   */
  async commit<T>(change: () => T, bytes = 0): Promise<T> {
    const release = this.#room.reserve(bytes);
    const write = this.#root.childTransaction(change as () => Promise<T>);
    this.#running.add(write);
    try {
      return await write;
    } catch (error) {
      throw isCommitFailure(error) ? await storeFailure(error) : error;
    } finally {
      this.#running.delete(write);
      release();
    }
  }

  /**
   * Runs `change` like `commit`, but resolves when the change is on disk. A commit that is visible may not yet survive
   * a power cut.
   */
  async write<T>(change: () => T, bytes = 0): Promise<T> {
    const result = await this.commit(change, bytes);
    await this.#root.flushed;
    return result;
  }

  /** Resolves when no transaction is running; a new one may start meanwhile. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}

/**
 * The table, with changes that need no handler of their own: the transaction that a change is in says whether it
 * failed. lmdb also rejects the promise of each change. Node.js would end the process if nobody handled that promise.
 */
export function withoutLooseRejections<V, K extends Key>(table: Database<V, K>): Database<V, K> {
  for (const method of ["put", "remove", "clearAsync"] as const) {
    const change = table[method].bind(table) as (...args: unknown[]) => Promise<boolean>;
    const handled = (...args: unknown[]) => {
      const done = change(...args);
      if (done instanceof Promise)
        done.catch((error: unknown) => isCommitFailure(error) && error.commitError.catch(() => {}));
      return done;
    };
    Object.assign(table, { [method]: handled });
  }
  return table;
}

const isCommitFailure = (error: unknown): error is CommitFailure =>
  error instanceof Error && "commitError" in error && error.commitError instanceof Promise;

async function storeFailure({ commitError }: CommitFailure): Promise<AppError> {
  return notWritten(await commitError.catch((cause: unknown) => cause));
}
