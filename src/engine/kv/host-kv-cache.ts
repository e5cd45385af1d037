/**
 * The KV cache in host memory: per layer one buffer for keys and one for values, [rows, K, S, D]. A row's region is
 * contiguous, so rows first…first+count−1 are a cache of their own. A run returns only the positions it adds, and this
 * class writes them after the past. Fetching the cache itself would copy all of it (see device-graph/new-cache.ts).
 *
 * The cache grows in buckets, layer by layer. It grows all at once where it must, and one layer a step where there is
 * time (S may differ between layers). Growing copies the written positions and leaves the rest of the new memory
 * untouched.
 */
import { type CachePorts, type NewCacheNames, cacheHeadSize, cachePorts, newCacheNames } from "../../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { bytesPerElement } from "../../tensor/dtype.ts";
import {
  type CacheShape,
  type KvCache,
  type KvChunk,
  type KvView,
  type WrittenPositions,
  rowBucket,
} from "./kv-cache.ts";

type Values = Float32Array | Uint16Array;

/**
 * Positions grow by a multiple of this. In every step attention copies past and new into its own memory, and first
 * clears all of that memory, unused room included. Growing copies the written positions. The sum of both costs is least
 * at about the root of twice the length.
 */
const POSITION_STEP = 64;

interface Layer {
  readonly ports: CachePorts;
  readonly added: NewCacheNames;
  numPositions: number;
  key: Values;
  value: Values;
}

/** Positions of a row: [layers, 2, K, numPositions, D] in one piece of memory, which returns to the system as one. */
class HostChunk implements KvChunk {
  readonly numPositions: number;
  data: Values;

  constructor(numPositions: number, data: Values) {
    this.numPositions = numPositions;
    this.data = data;
  }

  get bytes(): number {
    return this.data.byteLength;
  }

  free(): void {
    this.data = this.data.slice(0, 0);
  }
}

export class HostKvCache implements KvCache {
  readonly shape: CacheShape;
  readonly bytesPerElement: number;
  readonly #dtype: "float32" | "float16";
  readonly #layers: readonly Layer[];
  #numRows = 0;
  #views = new Map<string, KvView>();

  constructor(shape: CacheShape, dtype: "float32" | "float16" = "float32") {
    this.shape = shape;
    this.#dtype = dtype;
    this.bytesPerElement = bytesPerElement(dtype);
    const empty = this.#zeros(0);
    this.#layers = Array.from({ length: shape.numLayers }, (_, layer) => ({
      ports: cachePorts(layer, shape),
      added: newCacheNames(layer),
      numPositions: 0,
      key: empty,
      value: empty,
    }));
  }

  #zeros(length: number): Values {
    return this.#dtype === "float16" ? new Uint16Array(length) : new Float32Array(length);
  }

  get bytes(): number {
    return this.#layers.reduce((sum, { key, value }) => sum + key.byteLength + value.byteLength, 0);
  }

  rowsFor(count: number): number {
    return rowBucket(count);
  }

  positionsFor(length: number): number {
    // At least the number of layers: `growAhead` grows one layer a step, and must finish before it begins anew.
    const step = Math.ceil(this.shape.numLayers / POSITION_STEP) * POSITION_STEP;
    return Math.ceil(length / step) * step;
  }

  ensure(numRows: number, length: number, written: WrittenPositions = () => Infinity, ahead = length): void {
    if (numRows <= this.#numRows && this.#layers.every(({ numPositions }) => length <= numPositions)) return;
    const rows = rowBucket(numRows);
    const positions = this.positionsFor(Math.max(length, ahead));
    for (const layer of this.#layers)
      if (rows !== this.#numRows || layer.numPositions !== positions) this.#resize(layer, rows, positions, written);
    this.#numRows = rows;
  }

  growAhead(length: number, written: WrittenPositions): void {
    const layer = this.#layers.find(({ numPositions }) => numPositions < length);
    if (layer) this.#resize(layer, this.#numRows, this.positionsFor(length), written);
  }

  clear(): void {
    this.#views.clear();
    for (const layer of this.#layers) {
      layer.key = layer.value = this.#zeros(0);
      layer.numPositions = 0;
    }
    this.#numRows = 0;
  }

  #resize(layer: Layer, rows: number, positions: number, written: WrittenPositions): void {
    this.#views.clear();
    layer.key = this.#resized(layer.key, layer.numPositions, rows, positions, written);
    layer.value = this.#resized(layer.value, layer.numPositions, rows, positions, written);
    layer.numPositions = positions;
  }

  #resized(old: Values, oldPositions: number, rows: number, positions: number, written: WrittenPositions): Values {
    const { numKvHeads } = this.shape;
    // The system zeroes this memory when it is first touched, so positions that are not copied cost nothing yet.
    const resized = this.#zeros(rows * numKvHeads * positions * this.#headSize);
    const oldStride = oldPositions * this.#headSize;
    const stride = positions * this.#headSize;
    for (let row = 0; row < Math.min(rows, this.#numRows); row++) {
      const kept = Math.min(written(row), oldPositions, positions) * this.#headSize;
      for (let head = row * numKvHeads; head < (row + 1) * numKvHeads; head++)
        resized.set(old.subarray(head * oldStride, head * oldStride + kept), head * stride);
    }
    return resized;
  }

  moveRow(from: number, to: number, length: number): void {
    if (from === to || length === 0) return;
    this.#eachHead(from, to, (buffer, source, target) =>
      buffer.copyWithin(target, source, source + length * this.#headSize),
    );
  }

  swapRows(a: number, b: number, length: number): void {
    if (a === b) return;
    const scratch = this.#zeros(length * this.#headSize);
    this.#eachHead(a, b, (buffer, atA, atB) => {
      scratch.set(buffer.subarray(atA, atA + scratch.length));
      buffer.copyWithin(atA, atB, atB + scratch.length);
      buffer.set(scratch, atB);
    });
  }

  /** The memory stays as large as the batch was. It is freed when the last row leaves. */
  keepRows(): void {}

  copyOut(row: number, from: number, count: number): HostChunk {
    const size = count * this.#headSize;
    const data = this.#zeros(this.shape.numLayers * 2 * this.shape.numKvHeads * size);
    let next = 0;
    this.#eachHead(row, row, (buffer, start) => {
      const at = start + from * this.#headSize;
      data.set(buffer.subarray(at, at + size), next);
      next += size;
    });
    return new HostChunk(count, data);
  }

  copyIn(row: number, from: number, chunk: KvChunk): void {
    if (!(chunk instanceof HostChunk)) throw new Error("internal: a chunk of another cache");
    const size = chunk.numPositions * this.#headSize;
    let next = 0;
    this.#eachHead(row, row, (buffer, start) => {
      buffer.set(chunk.data.subarray(next, next + size), start + from * this.#headSize);
      next += size;
    });
  }

  get #headSize(): number {
    return cacheHeadSize(this.shape);
  }

  /** Offset of every head of two rows, in every buffer. */
  #eachHead(a: number, b: number, visit: (buffer: Values, atA: number, atB: number) => void): void {
    const { numKvHeads } = this.shape;
    for (const { key, value, numPositions } of this.#layers) {
      const stride = numPositions * this.#headSize;
      for (const buffer of [key, value])
        for (let head = 0; head < numKvHeads; head++)
          visit(buffer, (a * numKvHeads + head) * stride, (b * numKvHeads + head) * stride);
    }
  }

  view(first: number, count: number): KvView {
    const key = `${first}+${count}`;
    const known = this.#views.get(key);
    if (known) return known;
    const { numKvHeads } = this.shape;
    const view: KvView = {
      feeds: {},
      fetches: {},
      keep: (results, lastPositions) => this.#keep(first, results, lastPositions),
    };
    for (const { ports, added, numPositions, ...buffers } of this.#layers) {
      const rowSize = numKvHeads * numPositions * this.#headSize;
      const shape = [count, numKvHeads, numPositions, this.#headSize];
      const past = (buffer: Values): RuntimeTensor =>
        runtimeTensor(this.#dtype, buffer.subarray(first * rowSize, (first + count) * rowSize), shape);
      view.feeds[ports.pastKey.name] = past(buffers.key);
      view.feeds[ports.pastValue.name] = past(buffers.value);
      view.fetches[added.key] = view.fetches[added.value] = null;
    }
    this.#views.set(key, view);
    return view;
  }

  /** Writes the results of a run, [B, K, T, D] each, one after the other into the rows from `first` on. */
  #keep(first: number, results: Record<string, RuntimeTensor>, lastPositions: readonly number[]): void {
    for (const { added, numPositions, ...buffers } of this.#layers)
      for (const part of ["key", "value"] as const) {
        const { data, dims } = results[added[part]]!; // fetched by that name
        const [, numKvHeads, numTokens, headSize] = dims as [number, number, number, number];
        const size = numTokens * headSize;
        lastPositions.forEach((last, row) => {
          for (let head = 0; head < numKvHeads; head++) {
            const from = (row * numKvHeads + head) * size;
            const to = (((first + row) * numKvHeads + head) * numPositions + last + 1 - numTokens) * headSize;
            buffers[part].set((data as Values).subarray(from, from + size), to);
          }
        });
      }
  }
}
