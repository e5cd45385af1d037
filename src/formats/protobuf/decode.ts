/**
 * Decodes messages in the protobuf wire format, by a table of message descriptions. The bytes are hostile: lengths,
 * depth and number of values are bounded, and values of a wrong wire type are refused. Unknown fields are skipped, as
 * the format requires.
 */
import {
  DELIMITED,
  type Field,
  FIXED32,
  FIXED64,
  type Message,
  type Messages,
  ProtobufError,
  VARINT,
  wireTypeOf,
} from "./messages.ts";

const MAX_MESSAGE_DEPTH = 64;
// A value may take two bytes of input, but takes some hundred bytes of memory. The graph of a 100-layer model has fewer
// than a million.
const MAX_VALUES = 2_000_000;

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
