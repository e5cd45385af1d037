/** Converts a pooled vector to its form in the answer: cut, normalised to length 1, encoded. */

export interface VectorForm {
  /** Leading numbers to keep; null: all. */
  readonly dimensions: number | null;
  /** Whether the vector's length is made 1. */
  readonly normalizes: boolean;
}

/** float32 [dimensions]. A vector of zeros stays unchanged. */
export function shapedVector(pooled: Float32Array, { dimensions, normalizes }: VectorForm): Float32Array {
  const kept = pooled.subarray(0, dimensions ?? pooled.length);
  if (!normalizes) return kept;
  const length = Math.sqrt(kept.reduce((sum, value) => sum + value * value, 0));
  return length === 0 ? kept : kept.map((value) => value / length);
}

/** Numbers, or the base64 of their bytes in little-endian order. Both are the same float32 numbers. */
export function encodedVector(values: Float32Array, format: "float" | "base64"): number[] | string {
  if (format === "float") return [...values];
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeFloatLE(value, i * 4));
  return bytes.toString("base64");
}
