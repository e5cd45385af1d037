/** The element types of .safetensors files: types that we read and write, and the sizes of types that we only skip. */
import type { DType } from "../tensor/dtype.ts";

/** The format's names of the element types we know. */
export const SAFETENSORS_DTYPES: Readonly<Record<string, DType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F64: "float64",
  I64: "int64",
  I32: "int32",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
};

/** Bits of the format's other element types. Quantised checkpoints have them, and so do tensors that are not read. */
export const OTHER_TYPES: Readonly<Record<string, number>> = {
  I16: 16,
  U16: 16,
  U32: 32,
  U64: 64,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
};
