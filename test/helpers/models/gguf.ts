/** GGUF files for tests, right or wrong in any place: a small writer that believes what it is told. */

/** Metadata values with their kinds, as the file numbers them. */
export type Value =
  | { readonly kind: "uint32" | "int32" | "float32" | "uint16"; readonly value: number }
  | { readonly kind: "uint64"; readonly value: bigint }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "string"; readonly value: string | Uint8Array }
  | { readonly kind: "array"; readonly of: Value["kind"]; readonly values: readonly Value[]; readonly count?: bigint }
  | { readonly kind: "unknown"; readonly number: number };

const KINDS = { uint16: 2, uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9, uint64: 10 } as const;

export interface TensorSpec {
  readonly name: string;
  /** Innermost dimension first, as in the file. */
  readonly sizes: readonly (number | bigint)[];
  readonly type: number;
  readonly data: Uint8Array;
  /** Where it is said to lie; where it does lie by default. */
  readonly offset?: bigint;
}

export interface GgufSpec {
  readonly metadata?: Readonly<Record<string, Value>>;
  readonly tensors?: readonly TensorSpec[];
  readonly version?: number;
  readonly tensorCount?: bigint;
  readonly metadataCount?: bigint;
  readonly alignment?: number;
}

export const text = (value: string): Value => ({ kind: "string", value });
export const uint32 = (value: number): Value => ({ kind: "uint32", value });
export const float32 = (value: number): Value => ({ kind: "float32", value });
export const flag = (value: boolean): Value => ({ kind: "bool", value });
export const texts = (values: readonly string[]): Value => ({ kind: "array", of: "string", values: values.map(text) });
export const int32s = (values: readonly number[]): Value => ({
  kind: "array",
  of: "int32",
  values: values.map((value) => ({ kind: "int32", value })),
});
export const float32s = (values: readonly number[]): Value => ({
  kind: "array",
  of: "float32",
  values: values.map(float32),
});

/** A tensor of float32 values, outermost dimension first. */
export function float32Tensor(name: string, shape: readonly number[], values: readonly number[]): TensorSpec {
  return { name, sizes: shape.toReversed(), type: 0, data: new Uint8Array(Float32Array.from(values).buffer) };
}

export function ggufBytes(spec: GgufSpec): Buffer {
  const { metadata = {}, tensors = [], version = 3, alignment = 32 } = spec;
  const parts: Uint8Array[] = [Buffer.from("GGUF"), fixed(4, version)];
  parts.push(uint64(spec.tensorCount ?? BigInt(tensors.length)));
  parts.push(uint64(spec.metadataCount ?? BigInt(Object.keys(metadata).length)));
  for (const [key, value] of Object.entries(metadata)) parts.push(string(key), fixed(4, kindOf(value)), bytesOf(value));
  let offset = 0n;
  for (const tensor of tensors) {
    parts.push(string(tensor.name), fixed(4, tensor.sizes.length), ...tensor.sizes.map((size) => uint64(BigInt(size))));
    parts.push(fixed(4, tensor.type), uint64(tensor.offset ?? offset));
    offset += BigInt(Math.ceil(tensor.data.length / alignment) * alignment);
  }
  const header = Buffer.concat(parts);
  const padded: Uint8Array[] = [header, Buffer.alloc((alignment - (header.length % alignment)) % alignment)];
  for (const { data } of tensors) padded.push(data, Buffer.alloc((alignment - (data.length % alignment)) % alignment));
  return Buffer.concat(padded);
}

function kindOf(value: Value): number {
  return value.kind === "unknown" ? value.number : KINDS[value.kind];
}

function bytesOf(value: Value): Uint8Array {
  switch (value.kind) {
    case "uint16":
      return fixed(2, value.value);
    case "uint32":
      return fixed(4, value.value);
    case "int32":
      return fixed(4, value.value >>> 0);
    case "float32":
      return new Uint8Array(Float32Array.of(value.value).buffer);
    case "uint64":
      return uint64(value.value);
    case "bool":
      return Uint8Array.of(value.value ? 1 : 0);
    case "string":
      return string(value.value);
    case "array": {
      const { of, values, count = BigInt(values.length) } = value;
      const kind = of === "unknown" ? 99 : KINDS[of];
      return Buffer.concat([fixed(4, kind), uint64(count), ...values.map(bytesOf)]);
    }
    case "unknown":
      return new Uint8Array();
  }
}

function fixed(length: 2 | 4, value: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntLE(value, 0, length);
  return bytes;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function string(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(BigInt(bytes.length)), bytes]);
}
