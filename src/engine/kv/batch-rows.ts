/**
 * Decides which sequence has which row of the KV cache, and whether another one fits. Decoding rows lie first and
 * without a gap, so a decode step is one batch; prefilling rows lie after them. Memory is bounded before it is used. A
 * sequence is admitted only if the prompt and the longest answer of every row fit into the allowed bytes. Memory that
 * rows do not use now is lent to a borrower, who returns it as soon as a row needs it.
 */
import { AppError } from "../../errors.ts";
import { type KvCache, type KvChunk, bytesPerPosition } from "./kv-cache.ts";
import type { ChunkRows } from "./prefix-cache.ts";
import type { KvRows } from "../contracts.ts";

interface Row {
  readonly id: number;
  readonly reserved: number;
  /** Positions that its prompt will fill. They are allocated at once, since growing copies. */
  readonly numPrompt: number;
  /** Positions written. */
  length: number;
}

export interface RowLimits {
  readonly maxBytes: number;
  /** Batches are padded to a multiple of this many rows. */
  readonly rowMultiple: number;
}

type Borrower = Parameters<ChunkRows["lendTo"]>[0];

export class BatchRows implements KvRows, ChunkRows {
  readonly cache: KvCache;
  readonly #limits: RowLimits;
  readonly bytesPerPosition: number;
  /** In row order: decoding ones, then prefilling ones. */
  readonly #rows: Row[] = [];
  #numDecoding = 0;
  #borrower: Borrower | null = null;

  constructor(cache: KvCache, limits: RowLimits) {
    this.cache = cache;
    this.#limits = limits;
    this.bytesPerPosition = bytesPerPosition(cache.shape, cache.type);
  }

  lendTo(borrower: Borrower): void {
    this.#borrower = borrower;
  }

  spareBytes(): number {
    return Math.max(0, this.#limits.maxBytes - this.cache.bytes);
  }

  get maxBytes(): number {
    return this.#limits.maxBytes;
  }

  /** Bytes that `numRows` rows take when the longest has `length` positions. */
  #bytesFor(numRows: number, length: number): number {
    return this.paddedRows(this.cache.rowsFor(numRows)) * this.cache.positionsFor(length) * this.bytesPerPosition;
  }

  /** Rows of the padded batch for `count` sequences. */
  paddedRows(count: number): number {
    const { rowMultiple } = this.#limits;
    return Math.ceil(count / rowMultiple) * rowMultiple;
  }

  /** Length of the longest sequence that fits alone. */
  maxLength(): number {
    let [fits, tooLong] = [0, 1 + Math.floor(this.#limits.maxBytes / this.bytesPerPosition)];
    while (tooLong - fits > 1) {
      const middle = Math.floor((fits + tooLong) / 2);
      if (this.canEverFit(middle)) fits = middle;
      else tooLong = middle;
    }
    return fits;
  }

  canEverFit(numTokens: number): boolean {
    return this.#bytesFor(1, numTokens) <= this.#limits.maxBytes;
  }

  canAdmit(numTokens: number): boolean {
    const longest = this.#rows.reduce((most, row) => Math.max(most, row.reserved), numTokens);
    return this.#bytesFor(this.#rows.length + 1, longest) <= this.#limits.maxBytes;
  }

  admit(id: number, numTokens: number, numPrompt = 0): void {
    if (!this.canAdmit(numTokens))
      throw new AppError(
        "insufficient_memory",
        `${numTokens} positions do not fit into the KV cache beside ${this.#rows.length} sequences. Raise --kv-cache-bytes.`,
      );
    this.#rows.push({ id, reserved: numTokens, numPrompt: Math.min(numPrompt, numTokens), length: 0 });
  }

  /** The row of a sequence. */
  rowOf(id: number): number {
    const at = this.#rows.findIndex((row) => row.id === id);
    if (at < 0) throw new Error(`internal: sequence ${id} has no row`);
    return at;
  }

  /** Notes that a row will have `length` positions. Call `allocate` before the step. */
  extend(row: number, length: number): void {
    const entry = this.#rows[row];
    if (!entry || length > entry.reserved) throw new Error(`internal: row ${row} cannot take ${length} positions`);
    entry.length = length;
  }

  /**
   * Makes room for all rows, and for padding rows up to `numRows`. @param length a position that must exist even if all
   * rows are shorter
   */
  allocate(numRows: number, length: number): void {
    const longest = this.#rows.reduce((most, row) => Math.max(most, row.length, row.numPrompt), length);
    const count = Math.max(numRows, this.paddedRows(this.#rows.length));
    // In each step, one layer grows to the next bucket ahead of time, so that no single step must copy everything. It
    // never grows beyond the reserved length.
    const reserved = this.#rows.reduce((most, row) => Math.max(most, row.reserved), 0);
    const ahead = Math.min(longest + this.cache.shape.numLayers, reserved);
    this.#borrower?.shrinkTo(this.#limits.maxBytes - this.#bytesFor(count, Math.max(longest, ahead)));
    const written = (row: number): number => this.lengthOf(row);
    this.cache.ensure(count, longest, written, ahead);
    if (ahead > longest) this.cache.growAhead?.(ahead, written);
  }

  reach(id: number, length: number): void {
    this.extend(this.rowOf(id), length);
    this.allocate(0, length);
  }

  copyOut(id: number, from: number, count: number): KvChunk | Promise<KvChunk> {
    return this.cache.copyOut(this.rowOf(id), from, count);
  }

  copyIn(id: number, from: number, chunk: KvChunk): void | Promise<void> {
    return this.cache.copyIn(this.rowOf(id), from, chunk);
  }

  /** Positions written in a row; 0 beyond the used ones. */
  lengthOf(row: number): number {
    return this.#rows[row]?.length ?? 0;
  }

  startDecoding(id: number): void {
    const row = this.rowOf(id);
    const to = this.#numDecoding;
    if (row < to) throw new Error(`internal: sequence ${id} is decoding already`);
    this.#swap(row, to);
    this.#numDecoding++;
  }

  release(id: number): void {
    let hole = this.rowOf(id);
    if (hole < this.#numDecoding) {
      this.#numDecoding--;
      this.#move(this.#numDecoding, hole);
      hole = this.#numDecoding;
    }
    this.#move(this.#rows.length - 1, hole);
    this.#rows.pop();
    this.cache.keepRows(this.#rows.length);
    if (this.#rows.length === 0) this.cache.clear();
  }

  decodingIds(): readonly number[] {
    return this.#rows.slice(0, this.#numDecoding).map((row) => row.id);
  }

  usage(): number {
    return this.#limits.maxBytes > 0 ? this.cache.bytes / this.#limits.maxBytes : 0;
  }

  #move(from: number, to: number): void {
    const row = this.#rows[from];
    if (!row || from === to) return;
    this.cache.moveRow(from, to, row.length);
    this.#rows[to] = row;
  }

  #swap(a: number, b: number): void {
    const [rowA, rowB] = [this.#rows[a], this.#rows[b]];
    if (!rowA || !rowB || a === b) return;
    this.cache.swapRows(a, b, Math.max(rowA.length, rowB.length));
    this.#rows[a] = rowB;
    this.#rows[b] = rowA;
  }
}
