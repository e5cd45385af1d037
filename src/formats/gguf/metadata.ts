/**
 * The key-value part of a GGUF header: thirteen kinds of values, and nested arrays of them. Does not know the meaning
 * of keys. Source: the GGUF specification of the ggml project, versions 2 and 3.
 */
import { quote } from "../../errors.ts";
import type { Cursor } from "./cursor.ts";

export type GgufArray =
  | readonly string[]
  | readonly boolean[]
  | readonly GgufArray[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** 64-bit integers are numbers if exact, otherwise bigint. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

const UINT8 = 0;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** Kinds of numbers, by their number in the file: bytes of one, and the typed array that holds many. */
const NUMBERS = new Map<number, { bytes: number; read: (from: Cursor) => number | bigint; array: NumberArray }>([
  [UINT8, { bytes: 1, read: (from) => from.uint8(), array: Uint8Array }],
  [1, { bytes: 1, read: (from) => from.int8(), array: Int8Array }],
  [2, { bytes: 2, read: (from) => from.uint16(), array: Uint16Array }],
  [3, { bytes: 2, read: (from) => from.int16(), array: Int16Array }],
  [4, { bytes: 4, read: (from) => from.uint32(), array: Uint32Array }],
  [5, { bytes: 4, read: (from) => from.int32(), array: Int32Array }],
  [6, { bytes: 4, read: (from) => from.float32(), array: Float32Array }],
  [10, { bytes: 8, read: (from) => from.uint64(), array: BigUint64Array }],
  [11, { bytes: 8, read: (from) => from.int64(), array: BigInt64Array }],
  [12, { bytes: 8, read: (from) => from.float64(), array: Float64Array }],
]);

type NumberArray = new (buffer: ArrayBuffer) => Exclude<GgufArray, readonly unknown[]>;

const MAX_ARRAY_DEPTH = 4;
/** Far above any vocabulary. Empty strings and arrays need more memory here than in the file. */
const MAX_VALUES = 2 ** 24;
/** Minimum bytes of a key and a value: two lengths and a kind. */
const LEAST_BYTES = 13;

/**
 * All key-value pairs. @throws {AppError} checkpoint_invalid, before anything is allocated by a length from the file
 */
export function readMetadata(from: Cursor, count: bigint): GgufMetadata {
  if (count * BigInt(LEAST_BYTES) > BigInt(from.remaining))
    from.refuse(`it claims ${count} metadata entries, but only ${from.remaining} bytes follow`);
  const reader = new ValueReader(from);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0n; i < count; i++) {
    const key = from.string(`the key of metadata entry ${i}`);
    if (metadata.has(key)) from.refuse(`the metadata key ${quote(key)} occurs twice`);
    metadata.set(key, reader.value(from.uint32(), `the metadata ${quote(key)}`));
  }
  return metadata;
}

class ValueReader {
  readonly #from: Cursor;
  #numValues = 0;

  constructor(from: Cursor) {
    this.#from = from;
  }

  value(kind: number, what: string): GgufValue {
    const number = NUMBERS.get(kind);
    if (number) return exactNumber(number.read(this.#from));
    if (kind === BOOL) return this.#boolean(what);
    if (kind === STRING) return this.#from.string(what);
    if (kind === ARRAY) return this.#array(what, 1);
    return this.#from.refuse(`${what} has the unknown kind ${kind}`);
  }

  #boolean(what: string): boolean {
    const byte = this.#from.uint8();
    return byte > 1 ? this.#from.refuse(`${what} must be 0 (false) or 1 (true), but is ${byte}`) : byte === 1;
  }

  #array(what: string, depth: number): GgufArray {
    if (depth > MAX_ARRAY_DEPTH) this.#from.refuse(`${what} nests deeper than ${MAX_ARRAY_DEPTH}`);
    const kind = this.#from.uint32();
    const number = NUMBERS.get(kind);
    if (number) {
      const count = this.#from.count(what, number.bytes);
      return new number.array(this.#from.copy(count * number.bytes).buffer);
    }
    const [leastBytes, read] = this.#element(kind, what, depth);
    const count = this.#from.count(what, leastBytes);
    this.#numValues += count;
    if (this.#numValues > MAX_VALUES) this.#from.refuse(`its metadata has more than ${MAX_VALUES} values`);
    const values: unknown[] = [];
    for (let i = 0; i < count; i++) values.push(read());
    return values as GgufArray; // one kind for all of them
  }

  /** The reader of an element that is not a number, and the minimum number of bytes that it needs. */
  #element(kind: number, what: string, depth: number): [number, () => unknown] {
    if (kind === BOOL) return [1, () => this.#boolean(what)];
    if (kind === STRING) return [8, () => this.#from.string(what)];
    if (kind === ARRAY) return [12, () => this.#array(what, depth + 1)];
    return this.#from.refuse(`${what} is an array of the unknown kind ${kind}`);
  }
}

function exactNumber(value: number | bigint): number | bigint {
  if (typeof value === "number") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
