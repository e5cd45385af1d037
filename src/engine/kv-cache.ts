/**
 * The memory of the KV cache: per layer one buffer for keys and one for values, [rows, K, S, D] float32, which the session reads
 * as past and writes as present in place. A row's region is contiguous, so rows first…first+count−1 are a cache of their own.
 * Grows in buckets, layer by layer; knows nothing of sequences.
 */
import { type CachePorts, cacheHeadSize, cachePorts } from "../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../runtime/ort.ts";

export interface CacheShape {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headSize: number;
}

/** Bytes of keys and values of one position of one row. */
export function bytesPerPosition(shape: CacheShape): number {
  return shape.numLayers * 2 * shape.numKvHeads * cacheHeadSize(shape) * Float32Array.BYTES_PER_ELEMENT;
}

/**
 * Positions allocated for a row of `length`: a power of two up to 1024, then steps of 512. Small, since every fetched cache counts as
 * external memory of the size it has and sets off the garbage collector; in steps, since growing copies.
 */
export function positionBucket(length: number): number {
  if (length > 1024) return Math.ceil(length / 512) * 512;
  return Math.max(128, 2 ** Math.ceil(Math.log2(length)));
}

/** Rows allocated for `count` rows: powers of two, so that batches repeat their shapes. */
export function rowBucket(count: number): number {
  return count <= 1 ? count : 2 ** Math.ceil(Math.log2(count));
}

interface Layer {
  readonly ports: CachePorts;
  key: Float32Array;
  value: Float32Array;
}

export class KvCache {
  readonly #shape: CacheShape;
  readonly #layers: readonly Layer[];
  #numRows = 0;
  #numPositions = 0;
  #views = new Map<string, { feeds: Record<string, RuntimeTensor>; fetches: Record<string, RuntimeTensor> }>();

  constructor(shape: CacheShape) {
    this.#shape = shape;
    const empty = new Float32Array(0);
    this.#layers = Array.from({ length: shape.numLayers }, (_, layer) => ({
      ports: cachePorts(layer, shape),
      key: empty,
      value: empty,
    }));
  }

  get bytes(): number {
    return this.#numRows * this.#numPositions * bytesPerPosition(this.#shape);
  }

  /**
   * Makes room for `numRows` rows of which the longest has `length` positions; what is there stays. Where it has to allocate it
   * allocates just that, in both directions: rows or positions left over from other times would go beyond what was reserved.
   */
  ensure(numRows: number, length: number): void {
    if (numRows <= this.#numRows && length <= this.#numPositions) return;
    const rows = rowBucket(numRows);
    const positions = positionBucket(length);
    this.#views.clear();
    for (const layer of this.#layers) {
      layer.key = this.#resized(layer.key, rows, positions);
      layer.value = this.#resized(layer.value, rows, positions);
    }
    this.#numRows = rows;
    this.#numPositions = positions;
  }

  /** Gives all memory back. */
  clear(): void {
    this.#views.clear();
    for (const layer of this.#layers) layer.key = layer.value = new Float32Array(0);
    this.#numRows = 0;
    this.#numPositions = 0;
  }

  #resized(old: Float32Array, rows: number, positions: number): Float32Array {
    const { numKvHeads } = this.#shape;
    const resized = new Float32Array(rows * numKvHeads * positions * this.#headSize);
    const oldStride = this.#numPositions * this.#headSize;
    const stride = positions * this.#headSize;
    const kept = Math.min(oldStride, stride);
    for (let head = 0; head < Math.min(rows, this.#numRows) * numKvHeads; head++)
      resized.set(old.subarray(head * oldStride, head * oldStride + kept), head * stride);
    return resized;
  }

  /** Copies the first `length` positions of one row to another. */
  copyRow(from: number, to: number, length: number): void {
    if (from === to || length === 0) return;
    for (const layer of this.#layers)
      for (const buffer of [layer.key, layer.value])
        this.#eachHead(from, to, (source, target) =>
          buffer.copyWithin(target, source, source + length * this.#headSize),
        );
  }

  /** Exchanges the first positions of two rows, as many as the longer one has. */
  swapRows(a: number, b: number, length: number): void {
    if (a === b) return;
    const scratch = new Float32Array(length * this.#headSize);
    for (const layer of this.#layers)
      for (const buffer of [layer.key, layer.value])
        this.#eachHead(a, b, (atA, atB) => {
          scratch.set(buffer.subarray(atA, atA + scratch.length));
          buffer.copyWithin(atA, atB, atB + scratch.length);
          buffer.set(scratch, atB);
        });
  }

  get #headSize(): number {
    return cacheHeadSize(this.#shape);
  }

  #eachHead(a: number, b: number, visit: (atA: number, atB: number) => void): void {
    const stride = this.#numPositions * this.#headSize;
    const { numKvHeads } = this.#shape;
    for (let head = 0; head < numKvHeads; head++)
      visit((a * numKvHeads + head) * stride, (b * numKvHeads + head) * stride);
  }

  /** Past and present of `count` rows from `first` on, as a session's feeds and fetches over the same memory. */
  view(
    first: number,
    count: number,
  ): { readonly feeds: Record<string, RuntimeTensor>; readonly fetches: Record<string, RuntimeTensor> } {
    const key = `${first}+${count}`;
    const known = this.#views.get(key);
    if (known) return known;
    const { numKvHeads } = this.#shape;
    const rowSize = numKvHeads * this.#numPositions * this.#headSize;
    const shape = [count, numKvHeads, this.#numPositions, this.#headSize];
    const view = { feeds: {} as Record<string, RuntimeTensor>, fetches: {} as Record<string, RuntimeTensor> };
    for (const { ports, ...buffers } of this.#layers)
      for (const part of ["key", "value"] as const) {
        const tensor = runtimeTensor(
          "float32",
          buffers[part].subarray(first * rowSize, (first + count) * rowSize),
          shape,
        );
        view.feeds[(part === "key" ? ports.pastKey : ports.pastValue).name] = tensor;
        view.fetches[(part === "key" ? ports.presentKey : ports.presentValue).name] = tensor;
      }
    this.#views.set(key, view);
    return view;
  }
}
