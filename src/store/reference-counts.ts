/**
 * Counts the names and earlier generations that point to each content and the holds on it, and removes contents. A
 * content lives while one of them points to it or a caller in this process holds it. Knows nothing of records.
 */
import { AppError } from "../errors.ts";
import type { Tables, Totals } from "./database.ts";
import { Holds } from "./holds.ts";
import { DELETED_MARK } from "./scrubber.ts";
import type { Transactions } from "./lmdb/transactions.ts";

export class ReferenceCounts {
  readonly #tables: Tables;
  readonly #transactions: Transactions;
  readonly #holds = new Holds();
  readonly #droppedListeners = new Set<(generation: string) => void>();

  constructor(tables: Tables, transactions: Transactions) {
    this.#tables = tables;
    this.#transactions = transactions;
  }

  /**
   * Holds a content until `release` has been called as often as this method. @throws {AppError} adapter_not_found when
   * it no longer exists
   */
  acquire(generation: string): void {
    const { contents, references } = this.#tables;
    // A name points to the content, so the content was put again after the removal. LMDB may show that before it
    // reports the commit.
    const isLeaving = this.#holds.isBeingRemoved(generation) && !references.doesExist(generation);
    if (isLeaving || !contents.doesExist(generation))
      throw new AppError("adapter_not_found", notFound(`adapter content ${generation}`));
    this.#holds.add(generation);
  }

  /** Ends one hold. The last one removes the content when no name points to it. */
  release(generation: string): void {
    if (this.#holds.remove(generation) > 0) return;
    if (this.#tables.references.doesExist(generation)) return;
    // After a failed write the content stays until `clearLeftovers`. The operator sees the warning.
    this.dropIfUnused(generation).catch((error: unknown) => process.emitWarning(error as Error));
  }

  /** Calls `listener` for every generation whose content is removed. @returns a function that ends this */
  onDropped(listener: (generation: string) => void): () => void {
    this.#droppedListeners.add(listener);
    return () => this.#droppedListeners.delete(listener);
  }

  /** Removes contents that no name points to. Called only before any content can be held. A full disk keeps them. */
  async clearLeftovers(): Promise<void> {
    const generations = [...this.#tables.leftovers.getKeys()];
    const drop = async (generation: string): Promise<void> => {
      try {
        await this.dropIfUnused(generation);
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "store_failed") throw error;
      }
    };
    await Promise.all(generations.map(drop));
  }

  /** Numbers of names and bytes. */
  totals(): Totals {
    return (this.#tables.meta.get("totals") as Totals | undefined) ?? { names: 0, bytes: 0 };
  }

  #addToTotals(names: number, bytes: number): void {
    const before = this.totals();
    void this.#tables.meta.put("totals", { names: before.names + names, bytes: before.bytes + bytes });
  }

  /** Counts names. Within a transaction. */
  addNames(number: number): void {
    this.#addToTotals(number, 0);
  }

  /** Counts something that points to a content, and writes the content if it is new. Within a transaction. */
  add(generation: string, content: Buffer): void {
    const { contents, references, leftovers } = this.#tables;
    const isNew = !contents.doesExist(generation);
    if (isNew) void contents.put(generation, content);
    void leftovers.remove(generation);
    void references.put(generation, (references.get(generation) ?? 0) + 1);
    if (isNew) this.#addToTotals(0, content.byteLength);
  }

  /**
   * Counts something that no longer points to a content. Within a transaction. The content stays for now: a second
   * transaction removes it, when readers no longer find the name.
   */
  subtract(generation: string): void {
    const { references, leftovers } = this.#tables;
    const numLeft = (references.get(generation) ?? 0) - 1;
    if (numLeft > 0) void references.put(generation, numLeft);
    else {
      void references.remove(generation);
      void leftovers.put(generation, true);
    }
  }

  /** Removes a content that no name points to and no caller holds. Informs the listeners. */
  async dropIfUnused(generation: string): Promise<void> {
    const { contents, references, leftovers } = this.#tables;
    let isRemoving = false;
    try {
      await this.#transactions.commit(() => {
        if (this.#holds.has(generation) || references.doesExist(generation)) return;
        const numBytes = contents.getBinaryFast(generation)?.length;
        if (numBytes === undefined) return;
        // From here to the commit readers still see the content, but no new hold may begin.
        this.#holds.beginRemoval(generation);
        isRemoving = true;
        void contents.remove(generation);
        void this.#tables.meta.put(DELETED_MARK, 1);
        void leftovers.remove(generation);
        this.#addToTotals(0, -numBytes);
      });
    } finally {
      if (isRemoving) this.#holds.endRemoval(generation);
    }
    if (!isRemoving || contents.doesExist(generation)) return; // it is in use, is already removed, or was put again
    for (const listener of this.#droppedListeners) listener(generation);
  }
}

/** The error for a name or content that is not in the store. */
export function notFound(what: string): string {
  return `The store has no ${what}. List its adapters with GET /v1/adapters.`;
}
