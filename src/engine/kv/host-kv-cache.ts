/**
 * The KV cache in host memory: per layer one buffer for keys and one for values, [rows, K, S, D]. A row's region is
 * contiguous, so rows first…first+count−1 are a cache of their own. A run returns only the positions it adds, and this
 * class writes them after the past. Fetching the cache itself would copy all of it (see device-graph/new-cache.ts).
 *
 * The cache grows in buckets, layer by layer. It grows all at once where it must, and one layer a step where there is
 * time (S may differ between layers). Growing copies the written positions and leaves the rest of the new memory
 * untouched.
 */
import { cacheParts, type CacheType } from "../../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { bytesPerElement, type DType, DTYPES, type TypedArray } from "../../tensor/dtype.ts";
import {
  type CacheShape,
  type KvCache,
  type KvChunk,
  type KvView,
  type RowPlace,
  type SingleRows,
  type WrittenPositions,
  bytesPerPosition,
  rowBucket,
} from "./kv-cache.ts";

/**
 * Positions grow by a multiple of this. In every step attention copies past and new into its own memory, and first
 * clears all of that memory, unused room included. Growing copies the written positions. The sum of both costs is least
 * at about the root of twice the length.
 */
const POSITION_STEP = 64;

/** A tensor of a layer, [rows, K, S, width]. Rows are moved as bytes, whatever their type. */
interface Part {
  /** Name of the input that reads it. */
  readonly past: string;
  /** Name of the result that is added to it, [B, K, T, width]. */
  readonly added: string;
  readonly dtype: DType;
  readonly width: number;
  readonly positionBytes: number;
  data: Uint8Array;
}

interface Layer {
  readonly parts: readonly Part[];
  numPositions: number;
}

/**
 * Positions of a row: [layers, parts, K, numPositions, bytes of a position] in one piece of memory, which returns to
 * the system as one.
 */
class HostChunk implements KvChunk {
  readonly numPositions: number;
  data: Uint8Array;

  constructor(numPositions: number, data: Uint8Array) {
    this.numPositions = numPositions;
    this.data = data;
  }

  get bytes(): number {
    return this.data.byteLength;
  }

  free(): void {
    this.data = NOTHING;
  }
}

const NOTHING = new Uint8Array(0);

export class HostKvCache implements KvCache {
  readonly shape: CacheShape;
  readonly type: CacheType;
  readonly singleRows: SingleRows = {
    newCache: () => new HostKvCache(this.shape, this.type),
    copyRow: copyHostRow,
  };
  readonly #layers: readonly Layer[];
  #numRows = 0;
  /** Counted as the parts change, since every step asks for the bytes of every cache. */
  #bytes = 0;
  #views = new Map<string, KvView>();

  constructor(shape: CacheShape, type: CacheType = "float32") {
    this.shape = shape;
    this.type = type;
    this.#layers = Array.from({ length: shape.numLayers }, (_, layer) => ({
      parts: cacheParts(layer, shape, type).map(({ past: { name, dtype, shape: dims }, added }) => {
        const width = dims[3] as number; // the last size of a cache is known
        return { past: name, added, dtype, width, positionBytes: width * bytesPerElement(dtype), data: NOTHING };
      }),
      numPositions: 0,
    }));
  }

  get bytes(): number {
    return this.#bytes;
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
      for (const part of layer.parts) part.data = NOTHING;
      layer.numPositions = 0;
    }
    this.#numRows = 0;
    this.#bytes = 0;
  }

  #resize(layer: Layer, rows: number, positions: number, written: WrittenPositions): void {
    this.#views.clear();
    for (const part of layer.parts) {
      const data = this.#resized(part, layer.numPositions, rows, positions, written);
      this.#bytes += data.byteLength - part.data.byteLength;
      part.data = data;
    }
    layer.numPositions = positions;
  }

  #resized(
    { data: old, positionBytes }: Part,
    oldPositions: number,
    rows: number,
    positions: number,
    written: WrittenPositions,
  ): Uint8Array {
    const { numKvHeads } = this.shape;
    // The system zeroes this memory when it is first touched, so positions that are not copied cost nothing yet.
    const resized = new Uint8Array(rows * numKvHeads * positions * positionBytes);
    const oldStride = oldPositions * positionBytes;
    const stride = positions * positionBytes;
    for (let row = 0; row < Math.min(rows, this.#numRows); row++) {
      const kept = Math.min(written(row), oldPositions, positions) * positionBytes;
      for (let head = row * numKvHeads; head < (row + 1) * numKvHeads; head++)
        resized.set(old.subarray(head * oldStride, head * oldStride + kept), head * stride);
    }
    return resized;
  }

  moveRow(from: number, to: number, length: number): void {
    if (from === to || length === 0) return;
    this.#eachHead(from, to, ({ data, positionBytes }, source, target) =>
      data.copyWithin(target, source, source + length * positionBytes),
    );
  }

  swapRows(a: number, b: number, length: number): void {
    if (a === b) return;
    const sizes = this.#layers.flatMap(({ parts }) => parts.map(({ positionBytes }) => positionBytes));
    const scratch = new Uint8Array(length * Math.max(0, ...sizes));
    this.#eachHead(a, b, ({ data, positionBytes }, atA, atB) => {
      const held = scratch.subarray(0, length * positionBytes);
      held.set(data.subarray(atA, atA + held.length));
      data.copyWithin(atA, atB, atB + held.length);
      data.set(held, atB);
    });
  }

  /** The memory stays as large as the batch was. It is freed when the last row leaves. */
  keepRows(): void {}

  copyOut(row: number, from: number, count: number): HostChunk {
    const kept = new Uint8Array(count * bytesPerPosition(this.shape, this.type));
    let next = 0;
    this.#eachHead(row, row, ({ data, positionBytes }, start) => {
      const at = start + from * positionBytes;
      kept.set(data.subarray(at, at + count * positionBytes), next);
      next += count * positionBytes;
    });
    return new HostChunk(count, kept);
  }

  copyIn(row: number, from: number, chunk: KvChunk): void {
    if (!(chunk instanceof HostChunk)) throw new Error("internal: a chunk of another cache");
    let next = 0;
    this.#eachHead(row, row, ({ data, positionBytes }, start) => {
      const size = chunk.numPositions * positionBytes;
      data.set(chunk.data.subarray(next, next + size), start + from * positionBytes);
      next += size;
    });
  }

  /** Copies the first `length` positions of a row to another cache of the same shape and type. */
  copyRowTo(row: number, target: HostKvCache, targetRow: number, length: number): void {
    const { numKvHeads } = this.shape;
    for (const [i, { parts, numPositions }] of this.#layers.entries()) {
      const other = target.#layers[i]!; // the shape is the same
      const kept = Math.min(length, numPositions); // the next step writes one more
      for (const [j, { data, positionBytes }] of parts.entries()) {
        const { data: into } = other.parts[j]!; // so is the type
        for (let head = 0; head < numKvHeads; head++) {
          const from = (row * numKvHeads + head) * numPositions * positionBytes;
          const to = (targetRow * numKvHeads + head) * other.numPositions * positionBytes;
          into.set(data.subarray(from, from + kept * positionBytes), to);
        }
      }
    }
  }

  /** Offset of every head of two rows, in every part, in bytes. */
  #eachHead(a: number, b: number, visit: (part: Part, atA: number, atB: number) => void): void {
    const { numKvHeads } = this.shape;
    for (const { parts, numPositions } of this.#layers)
      for (const part of parts) {
        const stride = numPositions * part.positionBytes;
        for (let head = 0; head < numKvHeads; head++)
          visit(part, (a * numKvHeads + head) * stride, (b * numKvHeads + head) * stride);
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
    for (const { parts, numPositions } of this.#layers)
      for (const { past, added, dtype, width, positionBytes, data } of parts) {
        const rowBytes = numKvHeads * numPositions * positionBytes;
        const rows = data.subarray(first * rowBytes, (first + count) * rowBytes);
        view.feeds[past] = runtimeTensor(dtype, numbersIn(rows, dtype), [count, numKvHeads, numPositions, width]);
        view.fetches[added] = null;
      }
    this.#views.set(key, view);
    return view;
  }

  /** Writes the results of a run, [B, K, T, D] each, one after the other into the rows from `first` on. */
  #keep(first: number, results: Record<string, RuntimeTensor>, lastPositions: readonly number[]): void {
    for (const { parts, numPositions } of this.#layers)
      for (const { added, positionBytes, data } of parts) {
        const result = results[added]!; // fetched by that name
        const [, numKvHeads, numTokens] = result.dims as [number, number, number, number];
        const bytes = bytesOf(result.data as TypedArray);
        const size = numTokens * positionBytes;
        lastPositions.forEach((last, row) => {
          for (let head = 0; head < numKvHeads; head++) {
            const from = (row * numKvHeads + head) * size;
            const to = (((first + row) * numKvHeads + head) * numPositions + last + 1 - numTokens) * positionBytes;
            data.set(bytes.subarray(from, from + size), to);
          }
        });
      }
  }
}

function copyHostRow(source: RowPlace, target: RowPlace, length: number): void {
  if (!(source.cache instanceof HostKvCache && target.cache instanceof HostKvCache))
    throw new Error("internal: a row of another kind of cache");
  source.cache.copyRowTo(source.row, target.cache, target.row, length);
}

/** The numbers in these bytes, without a copy. */
function numbersIn({ buffer, byteOffset, byteLength }: Uint8Array, dtype: DType): TypedArray {
  return new DTYPES[dtype].array(buffer as ArrayBuffer, byteOffset, byteLength / bytesPerElement(dtype));
}

function bytesOf({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
