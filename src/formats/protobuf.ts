/**
 * The protobuf wire format over a table of message descriptions. Knows nothing of ONNX.
 * The decoder treats bytes as hostile: lengths, depth and number of
 * values are bounded, and values of a wrong wire type are refused.
 * Unknown fields are skipped, as the format requires. Source: the Protocol Buffers documentation, "Encoding".
 */

/**
 * int64: a number if safe, otherwise a bigint. size: an integer that must be safe (int32 and enums too). float:
 * float32. double: float64. bytes: a copy. Any other word is the name of a message in the same table.
 */
type ScalarKind = "int64" | "size" | "float" | "double" | "string" | "bytes";

/** One field. `one`: absent is undefined; `must`: absent is refused (message) or empty (others); `many`: absent is []; `some`: absent is undefined. */
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

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

const MAX_MESSAGE_DEPTH = 64;
// A value costs as little as two bytes of input but some hundred bytes of memory; the graph of a 100-layer model has below a million.
const MAX_VALUES = 2_000_000;

function wireTypeOf(kind: Field["kind"]): number {
  if (kind === "int64" || kind === "size") return VARINT;
  if (kind === "double") return FIXED64;
  return kind === "float" ? FIXED32 : DELIMITED;
}

class Writer {
  #bytes = Buffer.alloc(256);
  #length = 0;

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  varint(value: number | bigint): void {
    this.#reserve(10);
    if (Number.isInteger(value) && value >= 0 && value < 0x80)
      return void (this.#bytes[this.#length++] = Number(value));
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#length++] = Number(rest);
  }

  float(value: number): void {
    this.#reserve(4);
    this.#length = this.#bytes.writeFloatLE(value, this.#length);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  delimited(bytes: Uint8Array): void {
    this.varint(bytes.byteLength);
    this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.byteLength;
  }

  #reserve(numBytes: number): void {
    const needed = this.#length + numBytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/** The bytes of `message`: fields in the table's order, repeated scalars unpacked, undefined properties left out. */
export function encodeMessage(messages: Messages, name: string, message: Message): Uint8Array {
  const writer = new Writer();
  const fields = fieldsOf(messages, name);
  for (const key of Object.keys(message))
    if (!Object.hasOwn(fields, key)) throw new Error(`internal: ${name} has no field "${key}"`);
  for (const [key, { number, kind, count }] of Object.entries(fields)) {
    const value = message[key];
    if (value === undefined) continue;
    const values = count === "many" || count === "some" ? (value as unknown[]) : [value];
    for (const item of values) {
      writer.varint((number << 3) | wireTypeOf(kind));
      writeValue(messages, writer, kind, item);
    }
  }
  return writer.finish();
}

function writeValue(messages: Messages, writer: Writer, kind: Field["kind"], value: unknown): void {
  if (typeof kind === "object") return writer.delimited(encodeMessage(messages, kind.message, value as Message));
  switch (kind) {
    case "int64":
    case "size":
      return writer.varint(value as number | bigint);
    case "float":
      return writer.float(value as number);
    case "double":
      return writer.double(value as number);
    case "string":
      return writer.delimited(Buffer.from(value as string));
    case "bytes":
      return writer.delimited(value as Uint8Array);
  }
}

function fieldsOf(messages: Messages, name: string): Readonly<Record<string, Field>> {
  const fields = messages[name];
  if (!fields) throw new Error(`internal: no message "${name}" in the table`);
  return fields;
}

/** Reads one range of bytes; a nested message gets a reader of its own range over the same bytes. */
class Reader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#bytes.length;
  }

  take(length: number): Buffer {
    const start = this.#position;
    if (length > this.#bytes.length - start)
      throw new ProtobufError(`a value has ${length} bytes, but only ${this.#bytes.length - start} are left`);
    this.#position = start + length;
    return this.#bytes.subarray(start, this.#position);
  }

  /** A varint as an unsigned 64-bit integer: a number below 2^28 (nearly all are), otherwise a bigint. */
  varint(): number | bigint {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return low;
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80 && value < 1n << 64n) return value;
      if (byte < 0x80) break;
    }
    throw new ProtobufError("an integer is longer than 64 bits");
  }

  delimited(): Buffer {
    return this.take(Number(this.varint()));
  }

  #byte(): number {
    const byte = this.#bytes[this.#position++];
    if (byte === undefined) throw new ProtobufError("an integer does not end");
    return byte;
  }
}

/** @throws ProtobufError when `bytes` are not a message of this kind within the bounds above. */
export function decodeMessage(messages: Messages, name: string, bytes: Uint8Array): Message {
  const root = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Decoder(messages).message(name, root, 0);
}

/** A message's description, arranged for decoding. */
interface Layout {
  readonly name: string;
  readonly byNumber: ReadonlyMap<number, readonly [key: string, Field]>;
  readonly many: readonly string[];
  readonly must: readonly (readonly [key: string, Field])[];
}

function layoutOf(name: string, fields: Readonly<Record<string, Field>>): Layout {
  const entries = Object.entries(fields);
  const byNumber = new Map(entries.map((entry) => [entry[1].number, entry]));
  const many = entries.filter(([, { count }]) => count === "many").map(([key]) => key);
  return { name, byNumber, many, must: entries.filter(([, { count }]) => count === "must") };
}

class Decoder {
  readonly #layouts: ReadonlyMap<string, Layout>;
  #numValues = 0;

  constructor(messages: Messages) {
    this.#layouts = new Map(Object.entries(messages).map(([name, fields]) => [name, layoutOf(name, fields)]));
  }

  message(name: string, bytes: Buffer, depth: number): Message {
    if (depth > MAX_MESSAGE_DEPTH) throw new ProtobufError(`messages nest deeper than ${MAX_MESSAGE_DEPTH}`);
    const layout = this.#layouts.get(name);
    if (!layout) throw new Error(`internal: no message "${name}" in the table`);
    const message: Message = {};
    for (const key of layout.many) message[key] = [];
    const reader = new Reader(bytes);
    while (!reader.isAtEnd) {
      const tag = Number(reader.varint());
      const known = layout.byNumber.get(Math.floor(tag / 8));
      if (known) this.#field(message, name, known, tag % 8, reader, depth);
      else skip(reader, tag);
    }
    for (const [key, { kind }] of layout.must) message[key] ??= defaultOf(kind, `${name}.${key}`);
    return message;
  }

  #field(
    message: Message,
    name: string,
    [key, field]: readonly [string, Field],
    wireType: number,
    reader: Reader,
    depth: number,
  ) {
    const isRepeated = field.count === "many" || field.count === "some";
    const ownType = wireTypeOf(field.kind);
    if (isRepeated && wireType === DELIMITED && ownType !== DELIMITED) {
      const packed = new Reader(reader.delimited());
      const values = (message[key] ??= []) as unknown[];
      while (!packed.isAtEnd) values.push(this.#value(field.kind, packed, depth));
      return;
    }
    if (wireType !== ownType)
      throw new ProtobufError(`${name}.${key} has wire type ${wireType}, but must have ${ownType}`);
    const value = this.#value(field.kind, reader, depth);
    if (isRepeated) ((message[key] ??= []) as unknown[]).push(value);
    else if (message[key] === undefined) message[key] = value;
    else throw new ProtobufError(`${name}.${key} occurs twice`);
  }

  #value(kind: Field["kind"], reader: Reader, depth: number): unknown {
    if (++this.#numValues > MAX_VALUES) throw new ProtobufError(`there are more than ${MAX_VALUES} values`);
    if (typeof kind === "object") return this.message(kind.message, reader.delimited(), depth + 1);
    switch (kind) {
      case "int64":
      case "size":
        return integer(kind, reader.varint());
      case "float":
        return reader.take(4).readFloatLE();
      case "double":
        return reader.take(8).readDoubleLE();
      case "string":
        return text(reader.delimited());
      case "bytes":
        return new Uint8Array(reader.delimited());
    }
  }
}

function defaultOf(kind: Field["kind"], what: string): unknown {
  if (typeof kind === "object") throw new ProtobufError(`${what} is missing`);
  if (kind === "bytes") return new Uint8Array();
  return kind === "string" ? "" : 0;
}

function integer(kind: "int64" | "size", varint: number | bigint): number | bigint {
  if (typeof varint === "number") return varint;
  const value = BigInt.asIntN(64, varint);
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  if (kind === "size") throw new ProtobufError(`the integer ${value} is out of range`);
  return value;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function text(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new ProtobufError("a string is not UTF-8", { cause });
  }
}

function skip(reader: Reader, tag: number): void {
  const wireType = tag % 8;
  if (tag < 8 || tag > 0xffffffff) throw new ProtobufError(`there is no field number ${Math.floor(tag / 8)}`);
  if (wireType === VARINT) reader.varint();
  else if (wireType === FIXED64) reader.take(8);
  else if (wireType === DELIMITED) reader.delimited();
  else if (wireType === FIXED32) reader.take(4);
  else throw new ProtobufError(`wire type ${wireType} is not allowed`);
}
