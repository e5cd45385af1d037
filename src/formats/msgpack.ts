/**
 * Decodes MessagePack from untrusted bytes, and encodes equal values as equal bytes.
 * Our own scanner reads the bytes first, so the library only sees lengths, depths and types that were checked.
 * Knows nothing of the meaning of values. Source: the MessagePack specification, "Formats".
 */
import { isUtf8 } from "node:buffer";
import { Packr, Unpackr } from "msgpackr";
import { AppError, quote } from "../errors.ts";

/** Bounds on one message. `maxItems` counts every value and every key; depth 1 is a map of scalars. */
export interface MsgpackLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  readonly maxItems: number;
}

function refuse(problem: string): never {
  throw new AppError(
    "adapter_invalid",
    `The file is not valid MessagePack: ${problem}. Upload it again, or repack it.`,
  );
}

type Kind = "scalar" | "string" | "binary" | "array" | "map";

interface Token {
  readonly kind: Kind;
  /** Bytes of the length field after the first byte (0: the length is in the first byte itself). */
  readonly lengthBytes: 0 | 1 | 2 | 4;
  /** Bytes of a scalar's value, or the length held in the first byte. */
  readonly length: number;
}

const token = (kind: Kind, lengthBytes: 0 | 1 | 2 | 4, length = 0): Token => ({ kind, lengthBytes, length });

/** The first bytes from 0xc0 to 0xdf; those absent are extensions and the unused 0xc1, which are refused. */
const TOKENS: ReadonlyMap<number, Token> = new Map([
  ...[0xc0, 0xc2, 0xc3].map((first) => [first, token("scalar", 0)] as const), // nil, false, true
  [0xc4, token("binary", 1)],
  [0xc5, token("binary", 2)],
  [0xc6, token("binary", 4)],
  [0xca, token("scalar", 0, 4)], // float32
  [0xcb, token("scalar", 0, 8)], // float64
  ...[1, 2, 4, 8].flatMap((size, i) => [
    [0xcc + i, token("scalar", 0, size)] as const, // unsigned
    [0xd0 + i, token("scalar", 0, size)] as const, // signed
  ]),
  [0xd9, token("string", 1)],
  [0xda, token("string", 2)],
  [0xdb, token("string", 4)],
  [0xdc, token("array", 2)],
  [0xdd, token("array", 4)],
  [0xde, token("map", 2)],
  [0xdf, token("map", 4)],
]);

/** The token of each first byte; null: it is refused. */
const TOKEN_OF: readonly (Token | null)[] = Array.from({ length: 256 }, (_, first) => tokenFrom(first));

function tokenOf(first: number): Token {
  return TOKEN_OF[first] ?? refuse(`type 0x${first.toString(16)} is not allowed`);
}

function tokenFrom(first: number): Token | null {
  if (first < 0x80 || first >= 0xe0) return token("scalar", 0);
  if (first < 0x90) return token("map", 0, first & 0x0f);
  if (first < 0xa0) return token("array", 0, first & 0x0f);
  if (first < 0xc0) return token("string", 0, first & 0x1f);
  return TOKENS.get(first) ?? null;
}

/**
 * An open array or map: the number of values still to come, and for a map the keys seen. In a map, the next value is a
 * key when `remaining` is even.
 */
interface Frame {
  remaining: number;
  readonly keys: Set<string> | undefined;
}

/** @param start of the key's bytes in the file, which end before `end` */
function checkKey(keys: Set<string>, kind: Kind, bytes: Buffer, start: number, end: number): void {
  if (kind !== "string") refuse("a map key is not a string");
  const key = bytes.toString("latin1", start, end);
  if (key === "__proto__") refuse('"__proto__" is not allowed as a key');
  if (keys.has(key)) refuse(`the key ${quote(bytes.toString("utf8", start, end))} occurs twice in one map`);
  keys.add(key);
}

/** Most strings are short and ASCII. A view of the bytes, which `isUtf8` needs, costs more than reading them. */
function isText(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if ((bytes[i] as number) >= 0x80) return isUtf8(bytes.subarray(start, end));
  return true;
}

/** Walks one message without building anything. @throws AppError adapter_invalid at the first violation. */
function scan(bytes: Buffer, { maxBytes, maxDepth, maxItems }: MsgpackLimits): void {
  if (bytes.length > maxBytes) refuse(`it has ${bytes.length} bytes, but at most ${maxBytes} are allowed`);
  const open: Frame[] = [{ remaining: 1, keys: undefined }];
  let position = 0;
  for (let numItems = 1; open.length > 0; numItems++) {
    if (numItems > maxItems) refuse(`it has more than ${maxItems} values`);
    if (position >= bytes.length) refuse("it ends too early");
    const { kind, lengthBytes, length: fixedLength } = tokenOf(bytes[position++] as number);
    if (lengthBytes > bytes.length - position) refuse("it ends too early");
    const length = lengthBytes === 0 ? fixedLength : bytes.readUIntBE(position, lengthBytes);
    position += lengthBytes;
    const isNested = kind === "array" || kind === "map";
    const numNested = kind === "map" ? 2 * length : length;
    // Every nested value takes at least one byte.
    if ((isNested ? numNested : length) > bytes.length - position)
      refuse(`a ${kind} of length ${length} is longer than the rest of the file`);
    const start = position;
    if (!isNested) position += length;
    if (kind === "string" && !isText(bytes, start, position)) refuse("a string is not UTF-8");
    const frame = open.at(-1) as Frame; // the loop's condition
    if (frame.keys && frame.remaining % 2 === 0) checkKey(frame.keys, kind, bytes, start, position);
    frame.remaining--;
    if (isNested) open.push({ remaining: numNested, keys: kind === "map" ? new Set() : undefined });
    if (open.length - 1 > maxDepth) refuse(`it is nested deeper than ${maxDepth}`);
    while (open.at(-1)?.remaining === 0) open.pop();
  }
  if (position < bytes.length) refuse(`${bytes.length - position} bytes follow its end`);
}

// "auto" is documented, but absent from the library's types. Making an Unpackr takes longer than reading a small file.
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "auto" as "number" });

/**
 * The value of exactly one message: maps as plain objects, binary as views of `bytes`, 64-bit integers as numbers if
 * exact, otherwise bigint. Extension types, keys that are not strings or occur twice, "__proto__" and text that is not
 * UTF-8 are refused.
 * @throws AppError adapter_invalid, before anything is allocated by a length from the file.
 */
export function decodeBounded(bytes: Uint8Array, limits: MsgpackLimits): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  scan(buffer, limits);
  return unpackr.unpack(buffer);
}

/**
 * The library would write typed arrays as garbage, and undefined, dates and classes as extensions. All of these are
 * bugs of the caller.
 */
function assertPlain(value: unknown, path: string): void {
  if (value === null || ["string", "number", "bigint", "boolean"].includes(typeof value)) return;
  if (value instanceof Uint8Array) return;
  if (Array.isArray(value)) return value.forEach((item, i) => assertPlain(item, `${path}[${i}]`));
  const prototype: unknown = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype) throw new Error(`internal: ${path} cannot be written as MessagePack`);
  for (const [key, item] of Object.entries(value as object)) {
    if (key === "__proto__") throw new Error(`internal: ${path} has a key "__proto__"`);
    assertPlain(item, `${path}.${key}`);
  }
}

/**
 * Encodes one message. Keys keep the object's order; lengths and integers up to 32 bits have their smallest form.
 * Every other number is a float64, a bigint a 64-bit integer, a Uint8Array binary. Equal values give equal bytes.
 */
export function encode(value: unknown): Uint8Array {
  assertPlain(value, "value");
  return new Uint8Array(new Packr({ useRecords: false, variableMapSize: true }).pack(value));
}
