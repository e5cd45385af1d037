/**
 * The language of the tables that describe protobuf messages, and what both directions need: wire types and the error.
 * Knows nothing of ONNX. Source: the Protocol Buffers documentation, "Encoding".
 */

/**
 * int64: a number if safe, otherwise a bigint. size: an integer that must be safe (int32 and enums too). float:
 * float32. double: float64. bytes: a copy. Any other word is the name of a message in the same table.
 */
type ScalarKind = "int64" | "size" | "float" | "double" | "string" | "bytes";

/**
 * One field. `one`: absent is undefined; `must`: absent is refused (message) or empty (others); `many`: absent is [];
 * `some`: absent is undefined.
 */
export interface Field {
  readonly number: number;
  readonly kind: ScalarKind | { readonly message: string };
  readonly count: "one" | "must" | "many" | "some";
}

/** Messages by name, their fields by our own names. */
export type Messages = Readonly<Record<string, Readonly<Record<string, Field>>>>;

/** A plain object with one property a field. */
export type Message = Record<string, unknown>;

/** The reason why bytes cannot be decoded. The caller adds the name of the file. */
export class ProtobufError extends Error {}

export const VARINT = 0;
export const FIXED64 = 1;
export const DELIMITED = 2;
export const FIXED32 = 5;

/** How a value of this kind is written on the wire. */
export function wireTypeOf(kind: Field["kind"]): number {
  if (kind === "int64" || kind === "size") return VARINT;
  if (kind === "double") return FIXED64;
  return kind === "float" ? FIXED32 : DELIMITED;
}
