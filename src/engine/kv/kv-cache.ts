/**
 * The KV cache as the engine sees it: rows of keys and values that a session reads as past and adds to, in memory that
 * stays where the session computes. Two implementations: the host's (`host-kv-cache.ts`) and a device's (`device-kv-cache.ts`), held to one
 * contract by test/helpers/kv-traffic.ts. Knows nothing of sequences.
 */
import { cacheHeadSize } from "../../model/ports.ts";
import type { RuntimeTensor } from "../../runtime/ort.ts";

export interface CacheShape {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headSize: number;
}

/** Bytes of keys and values of one position of one row. */
export function bytesPerPosition(shape: CacheShape, bytesPerElement: number = Float32Array.BYTES_PER_ELEMENT): number {
  return shape.numLayers * 2 * shape.numKvHeads * cacheHeadSize(shape) * bytesPerElement;
}

/** Positions of a row of `length` in memory that is not copied after a step: a power of two up to 1024, then steps of 512, since growing copies. */
export function positionBucket(length: number): number {
  if (length > 1024) return Math.ceil(length / 512) * 512;
  return Math.max(128, 2 ** Math.ceil(Math.log2(length)));
}

/** Rows allocated for `count` rows: powers of two, so that batches repeat their shapes. */
export function rowBucket(count: number): number {
  return count <= 1 ? count : 2 ** Math.ceil(Math.log2(count));
}

/** Some rows as a session's feeds and fetches. */
export interface KvView {
  readonly feeds: Record<string, RuntimeTensor>;
  /** What a run has to be asked for: the fed tensors again, which it writes in place, or null for each result that `keep` takes. */
  readonly fetches: Record<string, RuntimeTensor | null>;
  /**
   * Writes the new keys and values that a run gave into the rows; left out where the run itself has done so.
   * @param lastPositions of the view's first rows, after the run; what the run gave for rows behind them is forgotten
   */
  readonly keep?: (results: Record<string, RuntimeTensor>, lastPositions: readonly number[]) => void;
}

/** Keys and values of some positions, kept beside the cache in the same kind of memory. */
export interface KvChunk {
  readonly numPositions: number;
  readonly bytes: number;
  /** Gives the memory back; the chunk is of no use after that. */
  free(): void;
}

/** How many positions of a row hold something; 0 beyond the rows in use. */
export type WrittenPositions = (row: number) => number;

/**
 * Rows are numbered from 0. What moves them returns at once; it has taken place when a later promise is fulfilled.
 * A promise that is rejected (`insufficient_memory` where a device has no more) leaves every row as it was.
 */
export interface KvCache {
  readonly shape: CacheShape;
  /** Of the values held: 4, or 2 for float16. */
  readonly bytesPerElement: number;
  /** Allocated now. */
  readonly bytes: number;
  /** Rows that are allocated at most where there are `count`. */
  rowsFor(count: number): number;
  /** Positions that are allocated where the longest row has `length`; never fewer for a longer one. */
  positionsFor(length: number): number;
  /**
   * Makes room for `numRows` rows of which the longest has `length` positions; what was written stays (unless said, all). Where it has to allocate it
   * allocates just that, in both directions: rows or positions left over from other times would go beyond what was reserved.
   * @param ahead a length that will be reached soon, for which it may allocate where it has to
   */
  ensure(numRows: number, length: number, written?: WrittenPositions, ahead?: number): void;
  /**
   * Does a part of what `ensure` will have to do for `length`, where growing step by step spares a stall; called before every step
   * for as many steps as there are layers, and before `length` is reached.
   */
  growAhead?(length: number, written: WrittenPositions): void;
  /** Row `to` becomes what row `from` is, as far as its first `length` positions; `from` holds nothing any more. */
  moveRow(from: number, to: number, length: number): void;
  /** Exchanges the first positions of two rows, as many as the longer one has. */
  swapRows(a: number, b: number, length: number): void;
  /** Rows from `count` on hold nothing any more. */
  keepRows(count: number): void;
  /** Gives all memory back. */
  clear(): void;
  /** `count` rows from `first` on, with room for `length` positions. Several rows are always the first ones. */
  view(first: number, count: number, length: number): KvView | Promise<KvView>;
  /** A copy of the `count` positions of a row from `from` on. */
  copyOut(row: number, from: number, count: number): KvChunk | Promise<KvChunk>;
  /** Writes a chunk that `copyOut` gave over the positions of a row from `from` on. */
  copyIn(row: number, from: number, chunk: KvChunk): void | Promise<void>;
}
