/**
 * The part of the ONNX file format that our graphs use: plain objects, their field numbers, and bytes ↔ objects. Knows
 * nothing of operators or of where external data comes from. Fields that are not in the table are skipped when
 * decoding. Source: onnx/onnx.proto of ONNX 1.23 (message and field names as there, in camel case and singular).
 */
import { AppError } from "../errors.ts";
import type { DType } from "../tensor/dtype.ts";
import { decodeMessage } from "./protobuf/decode.ts";
import { encodeMessage } from "./protobuf/encode.ts";
import { type Field, type Message, type Messages, ProtobufError } from "./protobuf/messages.ts";

/** A whole model. `irVersion` 10 goes with opset 21 to 22. */
export interface OnnxModel {
  readonly irVersion: number;
  readonly producerName?: string;
  readonly producerVersion?: string;
  readonly domain?: string;
  readonly modelVersion?: number;
  readonly docString?: string;
  readonly graph: OnnxGraph;
  readonly opsetImport: readonly OnnxOperatorSet[];
  readonly metadataProps?: readonly OnnxStringEntry[];
}

/** `domain` "" is ONNX's own; "com.microsoft" holds ONNX Runtime's operators. */
export interface OnnxOperatorSet {
  readonly domain: string;
  readonly version: number;
}

export interface OnnxStringEntry {
  readonly key: string;
  readonly value: string;
}

/** Nodes in an order in which every input is made before it is used. */
export interface OnnxGraph {
  readonly name: string;
  readonly node: readonly OnnxNode[];
  readonly initializer: readonly OnnxTensor[];
  readonly input: readonly OnnxValueInfo[];
  readonly output: readonly OnnxValueInfo[];
  readonly valueInfo?: readonly OnnxValueInfo[];
  readonly docString?: string;
}

/** An input called "" is left out. */
export interface OnnxNode {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly attribute: readonly OnnxAttribute[];
  readonly docString?: string;
}

/** The codes that select one of an attribute's values. */
export const ATTRIBUTE_TYPES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  type: 13,
} as const;

/** An integer of 64 bits: a number if it is safe, otherwise a bigint. */
export type OnnxInt = number | bigint;

/** `type` is one of ATTRIBUTE_TYPES; `f` and `floats` are rounded to float32 when written. */
export interface OnnxAttribute {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: OnnxInt;
  readonly s?: string;
  readonly t?: OnnxTensor;
  readonly g?: OnnxGraph;
  readonly tp?: OnnxType;
  readonly floats?: readonly number[];
  readonly ints?: readonly OnnxInt[];
  readonly strings?: readonly string[];
}

/** `dataLocation` of a tensor whose bytes are in the file that `externalData` names (keys location, offset, length). */
export const EXTERNAL_DATA_LOCATION = 1;

/** `dataType` as `onnxTypeOf`; `rawData` little-endian and row-major. */
export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData?: Uint8Array;
  readonly externalData?: readonly OnnxStringEntry[];
  readonly dataLocation?: number;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly type?: OnnxType;
  readonly docString?: string;
}

/** Tensors only: sequences, maps and optionals decode to a type without `tensorType`. */
export interface OnnxType {
  readonly tensorType?: { readonly elemType: number; readonly shape?: OnnxShape };
}

/** A size is known (`dimValue`), named (`dimParam`) or neither. */
export interface OnnxShape {
  readonly dim: readonly { readonly dimValue?: number; readonly dimParam?: string }[];
}

const field = (count: Field["count"]) => (number: number, kind: Field["kind"]) => ({ number, kind, count });
const one = field("one");
const must = field("must");
const many = field("many");
const some = field("some");
const of = (message: string) => ({ message });

// Rows are in the order of their numbers. The official writers use the same order, so equal models have equal bytes.
const ONNX: Messages = {
  Model: {
    irVersion: must(1, "size"),
    producerName: one(2, "string"),
    producerVersion: one(3, "string"),
    domain: one(4, "string"),
    modelVersion: one(5, "size"),
    docString: one(6, "string"),
    graph: must(7, of("Graph")),
    opsetImport: many(8, of("OperatorSet")),
    metadataProps: some(14, of("StringEntry")),
  },
  OperatorSet: { domain: must(1, "string"), version: must(2, "size") },
  StringEntry: { key: must(1, "string"), value: must(2, "string") },
  Graph: {
    node: many(1, of("Node")),
    name: must(2, "string"),
    initializer: many(5, of("Tensor")),
    docString: one(10, "string"),
    input: many(11, of("ValueInfo")),
    output: many(12, of("ValueInfo")),
    valueInfo: some(13, of("ValueInfo")),
  },
  Node: {
    input: many(1, "string"),
    output: many(2, "string"),
    name: must(3, "string"),
    opType: must(4, "string"),
    attribute: many(5, of("Attribute")),
    docString: one(6, "string"),
    domain: must(7, "string"),
  },
  Attribute: {
    name: must(1, "string"),
    f: one(2, "float"),
    i: one(3, "int64"),
    s: one(4, "string"),
    t: one(5, of("Tensor")),
    g: one(6, of("Graph")),
    floats: some(7, "float"),
    ints: some(8, "int64"),
    strings: some(9, "string"),
    tp: one(14, of("Type")),
    type: must(20, "size"),
  },
  Tensor: {
    dims: many(1, "size"),
    dataType: must(2, "size"),
    name: must(8, "string"),
    rawData: one(9, "bytes"),
    externalData: some(13, of("StringEntry")),
    dataLocation: one(14, "size"),
  },
  ValueInfo: { name: must(1, "string"), type: one(2, of("Type")), docString: one(3, "string") },
  Type: { tensorType: one(1, of("TensorType")) },
  TensorType: { elemType: must(1, "size"), shape: one(2, of("Shape")) },
  Shape: { dim: many(1, of("Dimension")) },
  Dimension: { dimValue: one(1, "size"), dimParam: one(2, "string") },
};

const ONNX_TYPES: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};

const DTYPES_BY_CODE = new Map(Object.entries(ONNX_TYPES).map(([dtype, code]) => [code, dtype as DType]));

/** ONNX's code (TensorProto.DataType) of an element type. */
export function onnxTypeOf(dtype: DType): number {
  return ONNX_TYPES[dtype];
}

/** The element type of an ONNX code. @throws AppError base_invalid for a code we have no type for. */
export function dtypeOfOnnxType(code: number): DType {
  const dtype = DTYPES_BY_CODE.get(code);
  if (dtype) return dtype;
  throw new AppError(
    "base_invalid",
    `The ONNX file has elements of type ${code}, which is not supported. Build it again.`,
  );
}

/** The bytes of a model; the same model gives the same bytes. */
export function encodeModel(model: OnnxModel): Uint8Array {
  return encodeMessage(ONNX, "Model", model as unknown as Message);
}

/**
 * The model in `bytes`. Absent strings and numbers read as "" and 0, as in proto3, unless their type is optional.
 * @throws AppError base_invalid for bytes that are not an ONNX model within our bounds (depth 64, 2 million values).
 */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  try {
    // The table above gives every field the type of the interfaces.
    return decodeMessage(ONNX, "Model", bytes) as unknown as OnnxModel;
  } catch (cause) {
    if (!(cause instanceof ProtobufError)) throw cause;
    throw new AppError("base_invalid", `The ONNX file is damaged: ${cause.message}. Build it again.`, { cause });
  }
}
