/**
 * Decides which sequence has which row of the KV cache, and whether another one fits. Decoding rows lie first and
 * without a gap, so a decode step is one batch; prefilling rows lie after them. Where the rows of a batch share one
 * tensor, a row that is prefilled beside others has a cache of its own until it decodes: the others need no room for
 * its length. Memory is bounded before it is used. A sequence is admitted only if the prompt and the longest answer of
 * every row fit into the allowed bytes as one batch. Memory that rows do not use now is lent to a borrower, who returns
 * it as soon as a row needs it.
 */
import { AppError } from "../../errors.ts";
import {
  type KvCache,
  type KvChunk,
  type KvView,
  type RowPlace,
  type SingleRows,
  bytesPerPosition,
  growCache,
} from "./kv-cache.ts";
import type { ChunkRows } from "./prefix-cache.ts";
import type { KvRows } from "../contracts.ts";

interface Row {
  readonly id: number;
  readonly reserved: number;
  /** Positions that its prompt will fill. They are allocated at once, since growing copies. */
  readonly numPrompt: number;
  /** Positions written. */
  length: number;
  /** A cache for this row alone; null: it lies in the batch. */
  own: KvCache | null;
}

export interface RowLimits {
  readonly maxBytes: number;
  /** Batches are padded to a multiple of this many rows. */
  readonly rowMultiple: number;
}

type Borrower = Parameters<ChunkRows["lendTo"]>[0];

export class BatchRows implements KvRows, ChunkRows {
  /** The rows of the batch. */
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

  /** Bytes allocated now. */
  get bytes(): number {
    return this.#rows.reduce((sum, { own }) => sum + (own?.bytes ?? 0), this.cache.bytes);
  }

  spareBytes(): number {
    return Math.max(0, this.#limits.maxBytes - this.bytes);
  }

  get maxBytes(): number {
    return this.#limits.maxBytes;
  }

  /** Bytes that `numRows` rows of a batch take when the longest has `length` positions. */
  #bytesFor(numRows: number, length: number): number {
    return this.paddedRows(this.cache.rowsFor(numRows)) * this.#bytesOfOne(length);
  }

  #bytesOfOne(length: number): number {
    return this.cache.positionsFor(length) * this.bytesPerPosition;
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
    // A sequence without others begins in the batch, so its row need not be copied there.
    const own = this.#rows.length > 0 ? (this.cache.singleRows?.newCache() ?? null) : null;
    this.#rows.push({ id, reserved: numTokens, numPrompt: Math.min(numPrompt, numTokens), length: 0, own });
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
   * Makes room for a step of `count` rows from `first` on, of which those without a sequence pad the batch.
   * @param length a position that must exist even if all rows are shorter
   */
  allocate(first: number, count: number, length: number): void {
    const row = this.#rows[first];
    if (count === 1 && row?.own && this.#growOwn(row, row.own, length)) return;
    // A prefilling row in the place of a padding one stays aside.
    const joining = count === 1 ? this.#rows.slice(first, first + 1) : this.#rows.slice(0, this.#numDecoding);
    this.#growBatch(first + count, length, joining);
  }

  /** The rows of a step for which `allocate` has made room. */
  view(first: number, count: number, length: number): KvView | Promise<KvView> {
    const own = count === 1 ? this.#rows[first]?.own : null;
    return own ? own.view(0, 1, length) : this.cache.view(first, count, length);
  }

  /** @returns whether there is room; false: the rows fit only as one batch */
  #growOwn(row: Row, own: KvCache, length: number): boolean {
    const longest = Math.max(length, row.length, row.numPrompt);
    const ahead = longest > row.numPrompt ? this.#aheadOf(longest, [row]) : longest;
    const bytes = this.bytes + Math.max(0, this.#bytesOfOne(Math.max(longest, ahead)) - own.bytes);
    if (bytes > this.#limits.maxBytes) return false;
    this.#borrower?.shrinkTo(this.#limits.maxBytes - bytes);
    growCache(own, 1, longest, ahead, () => row.length);
    return true;
  }

  /**
   * Makes room in the batch for all rows that lie there, for `numRows` rows at least, and for rows that come there.
   * @param joining rows that are in the batch afterwards
   */
  #growBatch(numRows: number, length: number, joining: readonly Row[]): void {
    const joins = new Set(joining);
    const isInBatch = (row: Row): boolean => row.own === null || joins.has(row);
    const rows = this.#rows.filter(isInBatch);
    const longest = rows.reduce((most, row) => Math.max(most, row.length, row.numPrompt), length);
    const ahead = this.#aheadOf(longest, rows);
    const numBatch = this.paddedRows(Math.max(numRows, 1 + this.#rows.findLastIndex(isInBatch)));
    const aside = this.#rows.reduce((sum, row) => sum + (isInBatch(row) ? 0 : (row.own?.bytes ?? 0)), 0);
    const planned = Math.max(this.cache.bytes, this.#bytesFor(numBatch, Math.max(longest, ahead))) + aside;
    // As one batch, all rows fit.
    if (planned > this.#limits.maxBytes && rows.length < this.#rows.length)
      return this.#growBatch(numRows, length, this.#rows);
    this.#borrower?.shrinkTo(this.#limits.maxBytes - planned);
    growCache(this.cache, numBatch, longest, ahead, (row) => this.paddingPosition(row));
    for (const row of joining) this.#join(row);
  }

  /**
   * In each step, one layer grows to the next bucket ahead of time, so that no single step must copy everything. It
   * never grows beyond the reserved length.
   */
  #aheadOf(longest: number, rows: readonly Row[]): number {
    const reserved = rows.reduce((most, row) => Math.max(most, row.reserved), 0);
    return Math.min(longest + this.cache.shape.numLayers, reserved);
  }

  /** Moves a row into the batch, which has room for it. */
  #join(row: Row): void {
    const { own } = row;
    if (own === null) return;
    this.#single().copyRow({ cache: own, row: 0 }, { cache: this.cache, row: this.#rows.indexOf(row) }, row.length);
    own.clear();
    row.own = null;
  }

  /** Moves a row out of the batch, or all rows into it where the bytes allow nothing else. */
  #leave(row: Row): void {
    const bytes = this.bytes + this.#bytesOfOne(row.length);
    if (bytes > this.#limits.maxBytes) return this.#growBatch(0, row.length, this.#rows);
    this.#borrower?.shrinkTo(this.#limits.maxBytes - bytes);
    const own = this.#single().newCache();
    own.ensure(1, row.length);
    this.#single().copyRow({ cache: this.cache, row: this.#rows.indexOf(row) }, { cache: own, row: 0 }, row.length);
    row.own = own;
    if (this.#rows.every((one) => one.own !== null)) this.cache.clear();
  }

  #single(): SingleRows {
    const { singleRows } = this.cache;
    if (!singleRows) throw new Error("internal: this cache keeps its rows apart itself");
    return singleRows;
  }

  reach(id: number, length: number): void {
    const row = this.rowOf(id);
    this.extend(row, length);
    this.allocate(row, 1, length);
  }

  copyOut(id: number, from: number, count: number): KvChunk | Promise<KvChunk> {
    const { cache, row } = this.#placeOf(id);
    return cache.copyOut(row, from, count);
  }

  copyIn(id: number, from: number, chunk: KvChunk): void | Promise<void> {
    const { cache, row } = this.#placeOf(id);
    return cache.copyIn(row, from, chunk);
  }

  #placeOf(id: number): RowPlace {
    const row = this.rowOf(id);
    const own = this.#rows[row]?.own;
    return own ? { cache: own, row: 0 } : { cache: this.cache, row };
  }

  /** Positions written in a row; 0 beyond the used ones. */
  lengthOf(row: number): number {
    return this.#rows[row]?.length ?? 0;
  }

  /** Positions written in a row of the batch. A step that has this row as padding writes to the next one. */
  paddingPosition(row: number): number {
    const entry = this.#rows[row];
    return entry?.own === null ? entry.length : 0;
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
    this.#rows[hole]?.own?.clear();
    if (hole < this.#numDecoding) {
      this.#numDecoding--;
      this.#move(this.#numDecoding, hole);
      hole = this.#numDecoding;
    }
    this.#move(this.#rows.length - 1, hole);
    this.#rows.pop();
    this.cache.keepRows(this.#rows.length);
    if (this.#rows.every(({ own }) => own !== null)) this.cache.clear();
  }

  decodingIds(): readonly number[] {
    return this.#rows.slice(0, this.#numDecoding).map((row) => row.id);
  }

  usage(): number {
    return this.#limits.maxBytes > 0 ? this.bytes / this.#limits.maxBytes : 0;
  }

  #move(from: number, to: number): void {
    const row = this.#rows[from];
    if (!row || from === to) return;
    if (row.own === null) this.cache.moveRow(from, to, row.length);
    this.#rows[to] = row;
  }

  #swap(a: number, b: number): void {
    const [rowA, rowB] = [this.#rows[a], this.#rows[b]];
    if (!rowA || !rowB || a === b) return;
    if (rowA.own === null && rowB.own !== null) this.#leave(rowA);
    if (rowB.own === null && rowA.own !== null) this.#leave(rowB);
    if (rowA.own === null) this.cache.swapRows(a, b, Math.max(rowA.length, rowB.length));
    this.#rows[a] = rowB;
    this.#rows[b] = rowA;
  }
}
