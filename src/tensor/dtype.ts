/** Element types of tensors, their sizes and the typed arrays that hold them. Pure. */

/** bfloat16 and float16 live in Uint16Arrays as raw bits, bool in Uint8Arrays as 0 and 1. */
export const DTYPES = {
  float32: { bytes: 4, array: Float32Array },
  float16: { bytes: 2, array: Uint16Array },
  bfloat16: { bytes: 2, array: Uint16Array },
  float64: { bytes: 8, array: Float64Array },
  int64: { bytes: 8, array: BigInt64Array },
  int32: { bytes: 4, array: Int32Array },
  int8: { bytes: 1, array: Int8Array },
  uint8: { bytes: 1, array: Uint8Array },
  bool: { bytes: 1, array: Uint8Array },
} as const;

export type DType = keyof typeof DTYPES;

export type TypedArray =
  | Float32Array
  | Uint16Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int8Array
  | Uint8Array;

export function isDType(name: string): name is DType {
  return Object.hasOwn(DTYPES, name);
}

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return DTYPES[dtype].bytes;
}

/** A zeroed array for `length` elements of `dtype`. */
export function allocate(dtype: DType, length: number): TypedArray {
  return new DTYPES[dtype].array(length);
}
