/**
 * Pools a prompt's hidden states to one vector, chunk by chunk in the order of the prompt. The sum is made in float64.
 */
// Indices are bounded by their loops, hence `!`.
import { AppError } from "../errors.ts";
import type { Chunk } from "./chunks.ts";
import type { Pooling } from "./protocol.ts";

/** The positions of a chunk whose hidden states the pooling needs. */
export function pooledPositions(pooling: Pooling, { length, isLast }: Chunk): number[] {
  if (pooling === "mean") return Array.from({ length }, (_, position) => position);
  return isLast ? [length - 1] : [];
}

/** The mean of the given rows. The mean of one row is bit-identical to that row. */
export class Pool {
  #sum: Float64Array | null = null;
  #count = 0;

  /** @param rows float32 [numRows, C] */
  add(rows: Float32Array, numRows: number): void {
    if (numRows === 0) return;
    const size = rows.length / numRows;
    this.#sum ??= new Float64Array(size);
    for (let row = 0; row < numRows; row++) for (let i = 0; i < size; i++) this.#sum[i]! += rows[row * size + i]!;
    this.#count += numRows;
  }

  /** float32 [C]. @throws {AppError} internal_error where a value is NaN or infinite. */
  mean(): Float32Array {
    if (this.#sum === null) throw new Error("internal: nothing was pooled");
    const count = this.#count;
    const values = Float32Array.from(this.#sum, (value) => value / count);
    const bad = values.find((value) => !Number.isFinite(value));
    if (bad !== undefined) throw new AppError("internal_error", `internal: the model gave a hidden state of ${bad}`);
    return values;
  }
}
