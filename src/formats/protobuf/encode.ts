/** Encodes messages in the protobuf wire format, by a table of message descriptions. */
import { type Field, type Message, type Messages, wireTypeOf } from "./messages.ts";

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
