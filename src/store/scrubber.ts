/**
 * Overwrites what was deleted. LMDB keeps the bytes of a deleted value in pages that are free until something else
 * needs them. This fills every free page with zeros. Pages that a change frees can be used again only after the next
 * change, so it takes two passes. A mark in the store survives a killed process.
 */
import { AppError } from "../errors.ts";
import type { Tables } from "./database.ts";
import type { DiskRoom, Release } from "./lmdb/disk-room.ts";

/** Pause before the free pages are filled, so that deletions close together share the work. */
const DELAY_MS = 500;
/** Pause between two fillings. Each of them writes over all free bytes of the file. */
const MIN_PAUSE_MS = 10_000;
const PASSES = 2;
/** Maximum number of pages that are filled at a time. The file may grow by this many. */
const BATCH = 64;
/** LMDB's header of a page. */
const PAGE_HEADER_BYTES = 16;
/** Entry of the table `meta`: there may be deleted bytes in free pages. */
export const DELETED_MARK = "hasDeletedBytes";

export class Scrubber {
  readonly #tables: Pick<Tables, "root" | "scrub" | "meta">;
  readonly #room: DiskRoom;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #lastAt = -Infinity;
  #isClosed = false;

  constructor(tables: Pick<Tables, "root" | "scrub" | "meta">, room: DiskRoom) {
    this.#tables = tables;
    this.#room = room;
  }

  /** Notes that something is being deleted. Within its transaction. */
  mark(): void {
    void this.#tables.meta.put(DELETED_MARK, 1);
  }

  /** Fills the free pages soon, if something was deleted. */
  schedule(): void {
    if (this.#isClosed || this.#timer !== null || !this.#isMarked()) return;
    const wait = Math.max(DELAY_MS, this.#lastAt + MIN_PAUSE_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      // After a failure the mark stays, so the next deletion or start tries again.
      this.run().catch((error: unknown) => process.emitWarning(error as Error));
    }, wait);
    this.#timer.unref();
  }

  /** Fills the free pages now, if something was deleted. */
  async run(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#running = this.#running.catch(() => undefined).then(() => this.#fill());
    await this.#running;
  }

  /** Fills the free pages a last time. What is deleted later stays marked for the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.run();
  }

  async #fill(): Promise<void> {
    if (!this.#isMarked()) return;
    // The file grows a little in each pass. Where there is no room, the mark stays for the next deletion or start.
    const release = this.#tryReserve(PASSES * BATCH * this.#pageSize());
    if (release === null) return;
    try {
      await this.#fillMarked();
    } finally {
      release();
    }
  }

  /** @returns null: there is not enough room */
  #tryReserve(bytes: number): Release | null {
    try {
      return this.#room.reserve(bytes);
    } catch (error) {
      if (error instanceof AppError) return null;
      throw error;
    }
  }

  async #fillMarked(): Promise<void> {
    const { root, scrub, meta } = this.#tables;
    await meta.remove(DELETED_MARK); // first, so that a deletion meanwhile marks it again
    try {
      for (let pass = 0; pass < PASSES; pass++) await this.#fillOnce();
      await root.flushed;
    } catch (error) {
      await meta.put(DELETED_MARK, 1);
      throw error;
    } finally {
      this.#lastAt = performance.now();
      await scrub.clearAsync();
    }
  }

  async #fillOnce(): Promise<void> {
    const { root, scrub } = this.#tables;
    const zeros = Buffer.alloc(this.#pageSize() - PAGE_HEADER_BYTES);
    await scrub.clearAsync();
    await root.flushed;
    root.resetReadTxn(); // a reader of an earlier state keeps pages from being used
    for (let next = 0; ; next += BATCH) {
      const before = this.#lastPage();
      await Promise.all(Array.from({ length: BATCH }, (_, i) => scrub.put(next + i, zeros)));
      await root.flushed;
      if (this.#lastPage() > before) return; // the file has grown, so no page is free
    }
  }

  #pageSize(): number {
    return (this.#tables.root.getStats() as { pageSize: number }).pageSize;
  }

  #lastPage(): number {
    return (this.#tables.root.getStats() as { lastPageNumber: number }).lastPageNumber;
  }

  #isMarked(): boolean {
    return this.#tables.meta.doesExist(DELETED_MARK);
  }
}
