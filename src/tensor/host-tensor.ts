/**
 * A tensor in host memory: a typed array and its shape, row-major. Pure; knows nothing of files, graphs or sessions.
 */
import { DTYPES, type DType, type TypedArray, bytesPerElement } from "./dtype.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./float16.ts";

/** `data` holds `numElements(shape)` values, row-major; float16 and bfloat16 as raw 16-bit patterns. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** Product of the dimensions; 1 for a scalar (shape `[]`). */
export function numElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A tensor over `data`. @throws if the shape does not hold exactly `data.length` elements. */
export function hostTensor(dtype: DType, shape: readonly number[], data: TypedArray): HostTensor {
  if (numElements(shape) !== data.length)
    throw new Error(`internal: a ${dtype} tensor of shape [${shape.join(",")}] cannot hold ${data.length} values`);
  return { dtype, shape, data };
}

/** The tensor's memory as bytes (a view, not a copy; little-endian on every platform Node supports). */
export function bytesOf(tensor: HostTensor): Uint8Array {
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

/** A tensor over a copy of little-endian `bytes`, with any alignment. */
export function tensorFromBytes(dtype: DType, shape: readonly number[], bytes: Uint8Array): HostTensor {
  if (bytes.byteLength !== numElements(shape) * bytesPerElement(dtype))
    throw new Error(`internal: ${bytes.byteLength} bytes for a ${dtype} tensor of shape [${shape.join(",")}]`);
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return { dtype, shape, data: new DTYPES[dtype].array(copy.buffer) };
}

/**
 * The values as float32: the same memory if they already are, otherwise a converted copy. Integer types are refused.
 */
export function toFloat32(tensor: HostTensor): Float32Array {
  const { dtype, data } = tensor;
  if (dtype === "float32") return data as Float32Array;
  if (dtype === "float64") return Float32Array.from(data as Float64Array);
  if (dtype === "float16") return float16ToFloat32(data as Uint16Array);
  if (dtype === "bfloat16") return bfloat16ToFloat32(data as Uint16Array);
  throw new Error(`internal: a ${dtype} tensor has no float32 form`);
}

/** float32 values stored as `dtype`, rounded to nearest even. */
export function fromFloat32(values: Float32Array, dtype: "float32" | "float16" | "bfloat16"): TypedArray {
  if (dtype === "float32") return values;
  return dtype === "float16" ? float32ToFloat16(values) : float32ToBfloat16(values);
}

/** Index of the first NaN or infinity in a float tensor, −1 when all values are finite. */
export function indexOfNonFinite({ dtype, data }: Pick<HostTensor, "dtype" | "data">): number {
  // Loops, because findIndex takes five times as long, and every weight of a checkpoint is checked.
  if (dtype === "float32" || dtype === "float64") {
    const values = data as Float32Array;
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
    return -1;
  }
  const exponent = dtype === "float16" ? 0x7c00 : dtype === "bfloat16" ? 0x7f80 : 0;
  const halves = data as Uint16Array;
  // i < length
  if (exponent !== 0) for (let i = 0; i < halves.length; i++) if ((halves[i]! & exponent) === exponent) return i;
  return -1;
}

/** A matrix [rows,columns] as [columns,rows], in memory of its own. */
export function transposed({ dtype, shape, data }: HostTensor): HostTensor {
  const [rows, columns] = shape as [number, number];
  const turned = new DTYPES[dtype].array(data.length);
  for (let row = 0; row < rows; row++)
    // Within the shape.
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[row * columns + column]!;
  return { dtype, shape: [columns, rows], data: turned };
}
