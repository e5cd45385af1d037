/**
 * The KV cache as the engine sees it: rows of keys and values that a session reads as past and adds to. The memory
 * stays where the session computes. There are two implementations: the host's (`host-kv-cache.ts`) and a device's
 * (`device-kv-cache.ts`). test/helpers/engine/kv-traffic.ts checks both against one contract. Knows nothing of
 * sequences.
 */
import { cacheParts, type CacheType } from "../../model/ports.ts";
import type { RuntimeTensor } from "../../runtime/ort.ts";
import { bytesPerElement } from "../../tensor/dtype.ts";

export interface CacheShape {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headSize: number;
}

/** Bytes of keys and values of one position of one row, scales included. */
export function bytesPerPosition(shape: CacheShape, type: CacheType = "float32"): number {
  const perHead = cacheParts(0, shape, type).map(({ past }) => (past.shape[3] as number) * bytesPerElement(past.dtype));
  return shape.numLayers * shape.numKvHeads * perHead.reduce((sum, bytes) => sum + bytes, 0);
}

/**
 * Number of positions allocated for a row of `length` positions, where memory is not copied after a step. A power of
 * two up to 1024, then steps of 512, since growing copies.
 */
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
  /**
   * Outputs that a run must be asked for: the fed tensors again, which it writes in place, or null for each result that
   * `keep` stores.
   */
  readonly fetches: Record<string, RuntimeTensor | null>;
  /**
   * Writes the new keys and values of a run into the rows. Absent where the run itself has written them.
   * @param lastPositions of the view's first rows, after the run; results for rows after them are discarded
   */
  readonly keep?: (results: Record<string, RuntimeTensor>, lastPositions: readonly number[]) => void;
}

/** Keys and values of some positions, kept beside the cache in the same kind of memory. */
export interface KvChunk {
  readonly numPositions: number;
  readonly bytes: number;
  /** Frees the memory. The chunk cannot be used after that. */
  free(): void;
}

/** Number of written positions of a row; 0 beyond the rows in use. */
export type WrittenPositions = (row: number) => number;

/** Caches of one row each, beside the batch. */
export interface SingleRows {
  /** An empty cache of the same kind. */
  newCache(): KvCache;
  /** Copies the first `length` positions of a row to another cache, which has room for them. */
  copyRow(source: RowPlace, target: RowPlace, length: number): void;
}

/** A row of a cache. */
export interface RowPlace {
  readonly cache: KvCache;
  readonly row: number;
}

/**
 * Rows are numbered from 0. A method that moves rows returns at once; the move has taken place when a later promise is
 * fulfilled. A promise that is rejected (`insufficient_memory` on a full device) leaves every row as it was.
 */
export interface KvCache {
  readonly shape: CacheShape;
  readonly type: CacheType;
  /** Absent where this class itself keeps rows in memory of their own. */
  readonly singleRows?: SingleRows;
  /** Bytes allocated now. */
  readonly bytes: number;
  /** Maximum number of rows that are allocated for `count` rows. */
  rowsFor(count: number): number;
  /** Positions that are allocated where the longest row has `length`. Never fewer for a longer row. */
  positionsFor(length: number): number;
  /**
   * Makes room for `numRows` rows of which the longest has `length` positions. Written positions stay. If it must
   * allocate, it allocates exactly that size in both directions. Unused rows or positions would exceed the reserved
   * memory.
   * @param ahead a length that will be reached soon; if it must allocate anyway, it may allocate for this length
   */
  ensure(numRows: number, length: number, written?: WrittenPositions, ahead?: number): void;
  /**
   * Does a part of the work of a later `ensure` for `length`, so that this call does not stall a step. Called before
   * every step, for as many steps as there are layers, and before `length` is reached.
   */
  growAhead?(length: number, written: WrittenPositions): void;
  /** Moves the first `length` positions of row `from` to row `to`. Row `from` is empty afterwards. */
  moveRow(from: number, to: number, length: number): void;
  /** Exchanges the first positions of two rows, as many as the longer one has. */
  swapRows(a: number, b: number, length: number): void;
  /** Empties the rows from `count` on. */
  keepRows(count: number): void;
  /** Frees all memory. */
  clear(): void;
  /** `count` rows from `first` on, with room for `length` positions. If `count` is above 1, `first` is 0. */
  view(first: number, count: number, length: number): KvView | Promise<KvView>;
  /** A copy of the `count` positions of a row from `from` on. */
  copyOut(row: number, from: number, count: number): KvChunk | Promise<KvChunk>;
  /** Writes a chunk from `copyOut` over the positions of a row from `from` on. */
  copyIn(row: number, from: number, chunk: KvChunk): void | Promise<void>;
}

/**
 * Makes room for rows of which the longest has `longest` positions, and does a part of the work for the length that
 * will be reached soon.
 */
export function growCache(
  cache: KvCache,
  numRows: number,
  longest: number,
  ahead: number,
  written: WrittenPositions,
): void {
  cache.ensure(numRows, longest, written, ahead);
  if (ahead > longest) cache.growAhead?.(ahead, written);
}
