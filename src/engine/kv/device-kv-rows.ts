/**
 * Rows of keys and values in a device's memory: two tensors a layer, [rows, K, S, D]. They are grown and copied layer
 * by layer, so that at most one layer exists twice at a time. If something fails in between, each layer is either
 * unchanged or complete.
 */
import { cacheHeadSize } from "../../model/ports.ts";
import type { DeviceMatrix, DeviceMemory, DeviceTensor, MatrixPair } from "../../runtime/device-memory.ts";
import type { RuntimeTensor } from "../../runtime/ort.ts";
import { type CacheShape, bytesPerPosition } from "./kv-cache.ts";

interface Layer {
  readonly key: DeviceTensor;
  readonly value: DeviceTensor;
  readonly numRows: number;
  readonly numPositions: number;
}

export class DeviceKvRows {
  readonly #shape: CacheShape;
  readonly #dtype: "float32" | "float16";
  readonly #memory: DeviceMemory;
  #layers: Layer[] = [];

  constructor(shape: CacheShape, dtype: "float32" | "float16", memory: DeviceMemory) {
    this.#shape = shape;
    this.#dtype = dtype;
    this.#memory = memory;
  }

  /** Rows that every layer has. */
  get numRows(): number {
    return this.#least((layer) => layer.numRows);
  }

  /** Positions that every layer has. */
  get numPositions(): number {
    return this.#least((layer) => layer.numPositions);
  }

  #least(size: (layer: Layer) => number): number {
    return this.#layers.length < this.#shape.numLayers ? 0 : Math.min(...this.#layers.map(size));
  }

  get bytes(): number {
    return this.#layers.reduce((sum, { key, value }) => sum + key.bytes + value.bytes, 0);
  }

  /** Bytes for this many rows and positions. */
  bytesOf(numRows: number, numPositions: number): number {
    return numRows * numPositions * bytesPerPosition(this.#shape, this.#dtype);
  }

  /**
   * Resizes to this many rows and positions. Content within both sizes stays, the rest is zero. @throws {AppError}
   * insufficient_memory
   */
  async resize(numRows: number, numPositions: number): Promise<void> {
    const { numLayers, numKvHeads } = this.#shape;
    const headSize = cacheHeadSize(this.#shape);
    for (let layer = 0; layer < numLayers; layer++) {
      const old = this.#layers[layer];
      if (old?.numRows === numRows && old.numPositions === numPositions) continue;
      const shape = [numRows, numKvHeads, numPositions, headSize];
      const made: DeviceTensor[] = [];
      try {
        for (const part of ["key", "value"] as const)
          made.push(await (old ? this.#memory.resized(old[part], shape) : this.#memory.zeros(this.#dtype, shape)));
      } catch (error) {
        for (const tensor of made) tensor.free();
        throw error;
      }
      this.#layers[layer] = { key: made[0]!, value: made[1]!, numRows, numPositions }; // two were made
      old?.key.free();
      old?.value.free();
    }
  }

  /** Copies a row over another row of `source` (or of this), as many positions as both have. */
  async copyTo(row: number, target: DeviceKvRows, targetRow: number): Promise<void> {
    const { numKvHeads } = this.#shape;
    const targets = target.byHead(target.numRows);
    const pairs = (sources: readonly DeviceMatrix[]): MatrixPair[] =>
      targets.map((matrix, i) => ({ target: matrix, source: sources[i]! })); // as many buffers
    // The first row is the beginning of its buffers.
    if (row === 0 && target !== this) return await this.#write(pairs(this.byHead(1)), targetRow * numKvHeads);
    const taken = await this.#memory.take(this.byHead(this.numRows), "rows", row * numKvHeads, numKvHeads);
    try {
      const sources = taken.map((tensor) => ({ tensor, numRows: numKvHeads, numColumns: tensor.shape[1] ?? 0 }));
      await this.#write(pairs(sources), targetRow * numKvHeads);
    } finally {
      for (const tensor of taken) tensor.free();
    }
  }

  /** Writes rows that may have more positions than this has room for. */
  async #write(pairs: readonly MatrixPair[], firstRow: number): Promise<void> {
    const cut: DeviceTensor[] = [];
    try {
      const fitting: MatrixPair[] = [];
      for (const { target, source } of pairs) {
        const { numColumns } = target;
        if (source.numColumns <= numColumns) {
          fitting.push({ target, source });
          continue;
        }
        const [tensor] = await this.#memory.take([source], "columns", 0, numColumns);
        if (!tensor) throw new Error("internal: nothing was taken");
        cut.push(tensor);
        fitting.push({ target, source: { tensor, numRows: source.numRows, numColumns } });
      }
      await this.#memory.writeRows(fitting, firstRow);
    } finally {
      for (const tensor of cut) tensor.free();
    }
  }

  /**
   * The first `numRows` rows of every buffer as a matrix with one line a head: [rows·K, S·D]; keys and values, layer by
   * layer.
   */
  byHead(numRows: number): DeviceMatrix[] {
    return this.#layers.flatMap((layer) => [
      this.#byHead(layer.key, layer, numRows),
      this.#byHead(layer.value, layer, numRows),
    ]);
  }

  #byHead(tensor: DeviceTensor, { numPositions }: Layer, numRows: number): DeviceMatrix {
    const numColumns = numPositions * cacheHeadSize(this.#shape);
    return { tensor, numRows: numRows * this.#shape.numKvHeads, numColumns };
  }

  /** The first `numRows` rows of a layer in a session's shape: [numRows, K, S, D]. */
  layer(index: number, numRows: number): { readonly key: RuntimeTensor; readonly value: RuntimeTensor } {
    const layer = this.#layers[index];
    if (!layer) throw new Error(`internal: layer ${index} has no buffers`);
    const shape = [numRows, this.#shape.numKvHeads, layer.numPositions, cacheHeadSize(this.#shape)];
    return { key: layer.key.as(shape), value: layer.value.as(shape) };
  }

  free(): void {
    for (const { key, value } of this.#layers) {
      key.free();
      value.free();
    }
    this.#layers = [];
  }
}
