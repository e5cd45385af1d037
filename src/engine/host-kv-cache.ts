/**
 * The KV cache in host memory: per layer one buffer for keys and one for values, [rows, K, S, D]. A row's region is contiguous,
 * so rows first…first+count−1 are a cache of their own. Grows in buckets, layer by layer.
 */
import { type CachePorts, cacheHeadSize, cachePorts } from "../model/ports.ts";
import { runtimeTensor } from "../runtime/ort.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import {
  type CacheShape,
  type KvCache,
  type KvChunk,
  type KvView,
  bytesPerPosition,
  positionBucket,
  rowBucket,
} from "./kv-cache.ts";

type Values = Float32Array | Uint16Array;

interface Layer {
  readonly ports: CachePorts;
  key: Values;
  value: Values;
}

/** Positions of a row: for every buffer and head [numPositions, D]. */
class HostChunk implements KvChunk {
  readonly numPositions: number;
  parts: readonly Values[];

  constructor(numPositions: number, parts: readonly Values[]) {
    this.numPositions = numPositions;
    this.parts = parts;
  }

  get bytes(): number {
    return this.parts.reduce((sum, part) => sum + part.byteLength, 0);
  }

  free(): void {
    this.parts = [];
  }
}

export class HostKvCache implements KvCache {
  readonly shape: CacheShape;
  readonly bytesPerElement: number;
  readonly #dtype: "float32" | "float16";
  readonly #layers: readonly Layer[];
  #numRows = 0;
  #numPositions = 0;
  #views = new Map<string, KvView>();

  constructor(shape: CacheShape, dtype: "float32" | "float16" = "float32") {
    this.shape = shape;
    this.#dtype = dtype;
    this.bytesPerElement = bytesPerElement(dtype);
    const empty = this.#zeros(0);
    this.#layers = Array.from({ length: shape.numLayers }, (_, layer) => ({
      ports: cachePorts(layer, shape),
      key: empty,
      value: empty,
    }));
  }

  #zeros(length: number): Values {
    return this.#dtype === "float16" ? new Uint16Array(length) : new Float32Array(length);
  }

  get bytes(): number {
    return this.#numRows * this.#numPositions * bytesPerPosition(this.shape, this.bytesPerElement);
  }

  rowsFor(count: number): number {
    return rowBucket(count);
  }

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

  clear(): void {
    this.#views.clear();
    for (const layer of this.#layers) layer.key = layer.value = this.#zeros(0);
    this.#numRows = 0;
    this.#numPositions = 0;
  }

  #resized(old: Values, rows: number, positions: number): Values {
    const { numKvHeads } = this.shape;
    const resized = this.#zeros(rows * numKvHeads * positions * this.#headSize);
    const oldStride = this.#numPositions * this.#headSize;
    const stride = positions * this.#headSize;
    const kept = Math.min(oldStride, stride);
    for (let head = 0; head < Math.min(rows, this.#numRows) * numKvHeads; head++)
      resized.set(old.subarray(head * oldStride, head * oldStride + kept), head * stride);
    return resized;
  }

  moveRow(from: number, to: number, length: number): void {
    if (from === to || length === 0) return;
    this.#eachBuffer((buffer) =>
      this.#eachHead(from, to, (source, target) => buffer.copyWithin(target, source, source + length * this.#headSize)),
    );
  }

  swapRows(a: number, b: number, length: number): void {
    if (a === b) return;
    const scratch = this.#zeros(length * this.#headSize);
    this.#eachBuffer((buffer) =>
      this.#eachHead(a, b, (atA, atB) => {
        scratch.set(buffer.subarray(atA, atA + scratch.length));
        buffer.copyWithin(atA, atB, atB + scratch.length);
        buffer.set(scratch, atB);
      }),
    );
  }

  /** The memory stays: it is as large as the batch was, and is given back when the last row goes. */
  keepRows(): void {}

  copyOut(row: number, from: number, count: number): HostChunk {
    const parts: Values[] = [];
    this.#eachBuffer((buffer) =>
      this.#eachHead(row, row, (start) => {
        const at = start + from * this.#headSize;
        parts.push(buffer.slice(at, at + count * this.#headSize));
      }),
    );
    return new HostChunk(count, parts);
  }

  copyIn(row: number, from: number, chunk: KvChunk): void {
    if (!(chunk instanceof HostChunk)) throw new Error("internal: a chunk of another cache");
    let next = 0;
    this.#eachBuffer((buffer) =>
      this.#eachHead(row, row, (start) => {
        const part = chunk.parts[next++];
        if (part) buffer.set(part, start + from * this.#headSize);
      }),
    );
  }

  get #headSize(): number {
    return cacheHeadSize(this.shape);
  }

  #eachBuffer(visit: (buffer: Values) => void): void {
    for (const { key, value } of this.#layers) {
      visit(key);
      visit(value);
    }
  }

  #eachHead(a: number, b: number, visit: (atA: number, atB: number) => void): void {
    const stride = this.#numPositions * this.#headSize;
    const { numKvHeads } = this.shape;
    for (let head = 0; head < numKvHeads; head++)
      visit((a * numKvHeads + head) * stride, (b * numKvHeads + head) * stride);
  }

  view(first: number, count: number): KvView {
    const key = `${first}+${count}`;
    const known = this.#views.get(key);
    if (known) return known;
    const { numKvHeads } = this.shape;
    const rowSize = numKvHeads * this.#numPositions * this.#headSize;
    const shape = [count, numKvHeads, this.#numPositions, this.#headSize];
    const view: KvView = { feeds: {}, fetches: {} };
    for (const { ports, ...buffers } of this.#layers)
      for (const part of ["key", "value"] as const) {
        const tensor = runtimeTensor(
          this.#dtype,
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
