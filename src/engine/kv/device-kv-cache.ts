/**
 * The KV cache in a device's memory. Decoding rows lie together in one batch. A row that is prefilled has buffers of
 * its own, and moves into the batch when a view of several rows covers it. Moving a row only notes the move. The next
 * view makes the copies, all of them on the device. No row is ever copied to the host.
 */
import { cacheHeadSize, cachePorts } from "../../model/ports.ts";
import type { DeviceMemory, DeviceTensor, MatrixPair } from "../../runtime/device-memory.ts";
import { DeviceKvRows } from "./device-kv-rows.ts";
import { type CacheShape, type KvCache, type KvChunk, type KvView, positionBucket } from "./kv-cache.ts";

/** Location of a row: in the batch, or in buffers of its own. */
type Place = { readonly batchRow: number } | { readonly own: DeviceKvRows };

/** Positions of a row: for every buffer [K, numPositions·D]. */
class DeviceChunk implements KvChunk {
  readonly numPositions: number;
  readonly parts: readonly DeviceTensor[];

  constructor(numPositions: number, parts: readonly DeviceTensor[]) {
    this.numPositions = numPositions;
    this.parts = parts;
  }

  get bytes(): number {
    return this.parts.reduce((sum, part) => sum + part.bytes, 0);
  }

  free(): void {
    for (const part of this.parts) part.free();
  }
}

// The batch grows by this many rows at once, since growing copies it.
const ROW_STEP = 4;

/** Number of rows allocated for a batch of `count` rows. Few of them are unused. */
function batchRows(count: number): number {
  return count <= ROW_STEP ? count : Math.ceil(count / ROW_STEP) * ROW_STEP;
}

export interface DeviceCacheOptions {
  readonly memory: DeviceMemory;
  readonly dtype: "float32" | "float16";
  /** Unused rows and positions are freed before more than this is allocated. */
  readonly maxBytes: number;
}

export class DeviceKvCache implements KvCache {
  readonly shape: CacheShape;
  readonly type: "float32" | "float16";
  readonly #options: DeviceCacheOptions;
  readonly #batch: DeviceKvRows;
  #places: (Place | null)[] = [];

  constructor(shape: CacheShape, options: DeviceCacheOptions) {
    this.shape = shape;
    this.type = options.dtype;
    this.#options = options;
    this.#batch = this.#newRows();
  }

  get bytes(): number {
    return this.#batch.bytes + this.#ownRows().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  rowsFor(count: number): number {
    return count <= ROW_STEP ? count : count + ROW_STEP - 1;
  }

  positionsFor(length: number): number {
    return positionBucket(length);
  }

  /** The needed size is known, and allocated, when a view is requested. */
  ensure(): void {}

  moveRow(from: number, to: number): void {
    if (from === to) return;
    this.#drop(to);
    this.#places[to] = this.#places[from] ?? null;
    this.#places[from] = null;
  }

  swapRows(a: number, b: number): void {
    const held = this.#places[a] ?? null;
    this.#places[a] = this.#places[b] ?? null;
    this.#places[b] = held;
  }

  keepRows(count: number): void {
    for (let row = count; row < this.#places.length; row++) this.#drop(row);
    this.#places.length = Math.min(count, this.#places.length);
  }

  clear(): void {
    this.keepRows(0);
    this.#batch.free();
  }

  async view(first: number, count: number, length: number): Promise<KvView> {
    const place = this.#places[first];
    // The remaining rows of a batch stay in it. Buffers of their own would exceed the reserved memory.
    const isAlone = count === 1 && !(first === 0 && place && "batchRow" in place);
    const rows = isAlone ? await this.#asOwn(first, length) : await this.#asBatch(count, length);
    const view: KvView = { feeds: {}, fetches: {} };
    for (let layer = 0; layer < this.shape.numLayers; layer++) {
      const ports = cachePorts(layer, this.shape);
      const { key, value } = rows.layer(layer, count);
      view.feeds[ports.pastKey.name] = view.fetches[ports.presentKey.name] = key;
      view.feeds[ports.pastValue.name] = view.fetches[ports.presentValue.name] = value;
    }
    return view;
  }

  async copyOut(row: number, from: number, count: number): Promise<KvChunk> {
    const own = await this.#asOwn(row, from + count);
    const headSize = cacheHeadSize(this.shape);
    const parts = await this.#options.memory.take(own.byHead(1), "columns", from * headSize, count * headSize);
    return new DeviceChunk(count, parts);
  }

  async copyIn(row: number, from: number, chunk: KvChunk): Promise<void> {
    if (!(chunk instanceof DeviceChunk)) throw new Error("internal: a chunk of another cache");
    const own = await this.#asOwn(row, from + chunk.numPositions);
    const headSize = cacheHeadSize(this.shape);
    const pairs = own.byHead(1).map((target, i): MatrixPair => {
      const tensor = chunk.parts[i]!; // as many as the cache has
      return { target, source: { tensor, numRows: target.numRows, numColumns: chunk.numPositions * headSize } };
    });
    await this.#options.memory.writeColumns(pairs, from * headSize);
  }

  #newRows(): DeviceKvRows {
    return new DeviceKvRows(this.shape, this.#options.dtype, this.#options.memory);
  }

  #ownRows(): DeviceKvRows[] {
    return this.#places.flatMap((place) => (place && "own" in place ? [place.own] : []));
  }

  #drop(row: number): void {
    const place = this.#places[row];
    if (place && "own" in place) place.own.free();
    this.#places[row] = null;
  }

  /** The row in buffers of its own, with room for `length` positions. */
  async #asOwn(row: number, length: number): Promise<DeviceKvRows> {
    const place = this.#places[row] ?? null;
    if (place && "own" in place) {
      await this.#growOwn(place.own, length);
      return place.own;
    }
    const own = this.#newRows();
    try {
      await this.#growOwn(own, Math.max(length, place ? this.#batch.numPositions : 1));
      if (place) await this.#batch.copyTo(place.batchRow, own, 0);
    } catch (error) {
      own.free();
      throw error;
    }
    this.#places[row] = { own };
    return own;
  }

  /** The first `count` rows in the batch, in their order. */
  async #asBatch(count: number, length: number): Promise<DeviceKvRows> {
    await this.#growBatch(count, length);
    const misplaced = Array.from({ length: count }, (_, row) => row).filter((row) => {
      const place = this.#places[row] ?? null;
      return place !== null && !("batchRow" in place && place.batchRow === row);
    });
    // Rows are written from the front. Content that moves further back is copied out first, before its old place is
    // overwritten.
    for (const row of misplaced) if (this.#batchRowOf(row) < row) await this.#asOwn(row, length);
    for (const row of misplaced) {
      const place = this.#places[row]!; // it is not in its place
      if ("own" in place) {
        await place.own.copyTo(0, this.#batch, row);
        place.own.free();
      } else await this.#batch.copyTo(place.batchRow, this.#batch, row);
      this.#places[row] = { batchRow: row };
    }
    return this.#batch;
  }

  #batchRowOf(row: number): number {
    const place = this.#places[row];
    return place && "batchRow" in place ? place.batchRow : Infinity;
  }

  /** Rows of the batch that are in use, rounded up to steps. */
  #usedRows(): number {
    const written = this.#places.flatMap((place) => (place && "batchRow" in place ? [place.batchRow + 1] : []));
    return batchRows(Math.max(0, ...written));
  }

  async #growBatch(count: number, length: number): Promise<void> {
    if (this.#batch.numRows >= count && this.#batch.numPositions >= length) return;
    await this.#batch.resize(Math.max(batchRows(count), this.#usedRows()), positionBucket(length));
  }

  async #growOwn(own: DeviceKvRows, length: number): Promise<void> {
    if (own.numPositions >= length) return;
    const positions = positionBucket(length);
    const isTooMuch = this.bytes + own.bytesOf(1, positions) - own.bytes > this.#options.maxBytes;
    if (isTooMuch) await this.#shrinkBatch();
    await own.resize(1, positions);
  }

  /** Frees the rows of the batch that no sequence uses any more. */
  async #shrinkBatch(): Promise<void> {
    const numUsed = this.#usedRows();
    if (numUsed === 0) this.#batch.free();
    else if (numUsed < this.#batch.numRows) await this.#batch.resize(numUsed, this.#batch.numPositions);
  }
}
