/**
 * Reads .safetensors files: a checked header, then tensors on demand, so a checkpoint is never in memory as a whole.
 * Knows names, element types, shapes and byte ranges. Every number of the header is checked before it is used. Source:
 * the safetensors README, "Format": 8 bytes little-endian header length, a JSON object, then the data without holes.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { AppError, quote } from "../errors.ts";
import { DTYPES, type DType, bytesPerElement } from "../tensor/dtype.ts";
import { type HostTensor, hostTensor, tensorFromBytes } from "../tensor/host-tensor.ts";
import { repeatedKey } from "./repeated-key.ts";
import { OTHER_TYPES, SAFETENSORS_DTYPES } from "./safetensors-types.ts";

/** Longest header the format allows. */
export const MAX_HEADER_BYTES = 100_000_000;
// One read call takes at most 2 GiB minus a page on Linux.
const MAX_READ_BYTES = 2 ** 30;

/** The place of a tensor; `byteOffset` counts from the start of the file. */
export interface TensorEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly byteOffset: number;
  readonly byteLength: number;
}

/**
 * A tensor of an element type that is not supported, perhaps from a newer version of the format. Its bytes can be read.
 */
export interface UnreadableEntry {
  /** The format's name of the type. */
  readonly storedType: string;
  readonly shape: readonly number[];
}

/** An open file whose header has been checked. The opener disposes of it. */
export interface SafetensorsFile extends AsyncDisposable {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly unreadable: ReadonlyMap<string, UnreadableEntry>;
  /**
   * One whole tensor in memory of its own. @throws AppError checkpoint_invalid for an unknown name or a file that
   * shrank, checkpoint_unsupported for an element type that is not known here.
   */
  read(name: string): Promise<HostTensor>;
  /**
   * `length` bytes of a tensor of any type, from its byte `start` on. @throws as `read`, but for the type; a range
   * outside the tensor is a bug of the caller.
   */
  readBytes(name: string, start: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

function refuse(path: string, problem: string, cause?: unknown): never {
  const message = `${path} is not a usable safetensors file: ${problem}. Copy or download it again.`;
  throw new AppError("checkpoint_invalid", message, cause === undefined ? {} : { cause });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

async function readRange(file: FileHandle, path: string, start: number, length: number, what: string) {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(length);
  } catch (cause) {
    return refuse(path, `${what} has ${length} bytes, more than this process can hold at once`, cause);
  }
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, MAX_READ_BYTES), start + done);
    if (bytesRead === 0) refuse(path, `the file ends inside ${what}`);
    done += bytesRead;
  }
  return bytes;
}

async function readHeader(file: FileHandle, path: string, fileBytes: number) {
  assertPrefix(path, fileBytes);
  const prefix = await readRange(file, path, 0, 8, "the header length");
  return readRange(file, path, 8, headerLength(path, prefix, fileBytes), "the header");
}

function assertPrefix(path: string, fileBytes: number): void {
  if (fileBytes < 8) refuse(path, `it has ${fileBytes} bytes, but at least 8 are needed`);
}

/** @param prefix the file's first 8 bytes */
function headerLength(path: string, prefix: Uint8Array, fileBytes: number): number {
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(fileBytes - 8)) refuse(path, `its header claims ${length} bytes, but the file has ${fileBytes}`);
  if (length > BigInt(MAX_HEADER_BYTES))
    refuse(path, `its header claims ${length} bytes, but at most ${MAX_HEADER_BYTES} are allowed`);
  return Number(length);
}

function parseHeader(path: string, bytes: Uint8Array, fileBytes: number) {
  if (bytes[0] !== 0x7b) refuse(path, 'its header does not begin with "{"');
  const { __metadata__: foreignMetadata, ...header } = parseObject(path, bytes);
  const dataStart = 8 + bytes.byteLength;
  const entries = Object.entries(header).map(
    ([name, value]) => [name, parseEntry(path, name, value, dataStart, fileBytes - dataStart)] as const,
  );
  checkCoverage(path, new Map(entries), dataStart, fileBytes);
  const tensors = new Map<string, TensorEntry>();
  const unreadable = new Map<string, UnreadableEntry>();
  const places = new Map<string, Place>(entries);
  for (const [name, { dtype, storedType, ...place }] of entries)
    if (dtype === null) unreadable.set(name, { storedType, shape: place.shape });
    else tensors.set(name, { dtype, ...place });
  return { metadata: parseMetadata(path, foreignMetadata), tensors, unreadable, places };
}

/**
 * All tensors of a small file that is already in memory. Each tensor has memory of its own.
 * @param path name of the file in messages
 * @throws AppError checkpoint_invalid, as `openSafetensors`
 */
export function parseSafetensors(bytes: Uint8Array, path: string): ReadonlyMap<string, HostTensor> {
  const fileBytes = bytes.byteLength;
  assertPrefix(path, fileBytes);
  const header = bytes.subarray(8, 8 + headerLength(path, bytes, fileBytes));
  const { tensors, unreadable } = parseHeader(path, header, fileBytes);
  for (const [name, entry] of unreadable) refuseType(path, name, entry);
  return new Map(
    [...tensors].map(([name, { dtype, shape, byteOffset, byteLength }]) => [
      name,
      tensorFromBytes(dtype, shape, bytes.subarray(byteOffset, byteOffset + byteLength)),
    ]),
  );
}

function parseObject(path: string, bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    return refuse(path, "its header is not valid JSON", cause);
  }
  if (!isObject(value)) return refuse(path, "its header is not a JSON object");
  const repeated = repeatedKey(text);
  return repeated === undefined ? value : refuse(path, `its header names ${quote(repeated)} twice`);
}

type Place = Pick<TensorEntry, "byteOffset" | "byteLength">;

interface ParsedEntry extends Omit<TensorEntry, "dtype"> {
  /** null: an unknown type. */
  readonly dtype: DType | null;
  readonly storedType: string;
}

function parseEntry(path: string, name: string, value: unknown, dataStart: number, dataBytes: number): ParsedEntry {
  const tensor = `tensor ${quote(name)}`;
  if (!isObject(value)) return refuse(path, `the entry of ${tensor} is not an object`);
  const { dtype: storedType, shape, data_offsets: offsets } = value;
  if (typeof storedType !== "string" || !/^[A-Z][A-Z0-9_]{0,31}$/.test(storedType))
    return refuse(path, `${tensor} has dtype ${quote(storedType)}, but must have a name such as "F32"`);
  if (!Array.isArray(shape) || !shape.every(isSize))
    return refuse(path, `${tensor} has shape ${quote(shape)}, but must have a list of sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    return refuse(path, `${tensor} has data_offsets ${quote(offsets)}, but must have [begin, end]`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    return refuse(path, `${tensor} lies at ${quote(offsets)}, outside the ${dataBytes} bytes of data`);
  const dtype = Object.hasOwn(SAFETENSORS_DTYPES, storedType) ? (SAFETENSORS_DTYPES[storedType] ?? null) : null;
  const bits = dtype === null ? OTHER_TYPES[storedType] : 8 * bytesPerElement(dtype);
  let numBits = bits ?? 1;
  for (const size of shape) {
    numBits *= size;
    if (!Number.isSafeInteger(numBits)) return refuse(path, `${tensor} has the impossible shape ${quote(shape)}`);
  }
  // The size of a newer type's elements is not known.
  if (bits !== undefined && numBits !== 8 * (end - begin))
    return refuse(
      path,
      `${tensor} of ${storedType} ${quote(shape)} needs ${numBits / 8} bytes, but its range has ${end - begin}`,
    );
  return { dtype, storedType, shape, byteOffset: dataStart + begin, byteLength: end - begin };
}

/** Refuses to read such a tensor, which a file may contain. */
function refuseType(path: string, name: string, { storedType }: UnreadableEntry): never {
  const known = Object.keys(SAFETENSORS_DTYPES).join(", ");
  throw new AppError(
    "checkpoint_unsupported",
    `The tensor ${quote(name)} in ${path} has the type ${storedType}, which is not supported. Supported types: ${known}.`,
  );
}

function parseMetadata(path: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string"))
    return refuse(path, "its __metadata__ is not a map of strings");
  return value as Record<string, string>;
}

/** The format requires that the data is covered exactly: no overlap, no hole, no bytes after the last tensor. */
function checkCoverage(path: string, tensors: ReadonlyMap<string, ParsedEntry>, dataStart: number, fileBytes: number) {
  const byPosition = [...tensors].sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, entry] of byPosition) {
    if (entry.byteOffset < end) refuse(path, `tensor ${quote(name)} overlaps the tensor before it`);
    if (entry.byteOffset > end)
      refuse(path, `${entry.byteOffset - end} bytes before tensor ${quote(name)} belong to no tensor`);
    end += entry.byteLength;
  }
  if (end < fileBytes) refuse(path, `${fileBytes - end} bytes after the last tensor belong to no tensor`);
}

/**
 * Opens a file and checks its whole header; no tensor is read.
 * @throws AppError checkpoint_invalid, naming file and tensor, for everything the format forbids.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  // Opening a named pipe would block, so the kind of file is checked first.
  const kind = await stat(path).catch((cause: unknown) => refuse(path, "it cannot be found", cause));
  if (!kind.isFile()) refuse(path, "it is not a regular file");
  const file = await open(path).catch((cause: unknown) => refuse(path, "it cannot be opened", cause));
  try {
    const { size: fileBytes } = await file.stat();
    const bytes = await readHeader(file, path, fileBytes);
    const header = parseHeader(path, bytes, fileBytes);
    return new OpenFile(path, header, file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class OpenFile implements SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly unreadable: ReadonlyMap<string, UnreadableEntry>;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #file: FileHandle;

  constructor(
    path: string,
    { metadata, tensors, unreadable, places }: ReturnType<typeof parseHeader>,
    file: FileHandle,
  ) {
    this.path = path;
    this.metadata = metadata;
    this.tensors = tensors;
    this.unreadable = unreadable;
    this.#places = places;
    this.#file = file;
  }

  async read(name: string): Promise<HostTensor> {
    const { dtype, shape, byteLength } = this.#entry(name);
    const bytes = await this.readBytes(name, 0, byteLength);
    return hostTensor(dtype, shape, new DTYPES[dtype].array(bytes.buffer));
  }

  async readBytes(name: string, start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { byteOffset, byteLength } = this.#places.get(name) ?? this.#entry(name);
    if (!isSize(start) || !isSize(length) || start + length > byteLength)
      throw new Error(`internal: bytes ${start}+${length} of tensor ${quote(name)}, which has ${byteLength}`);
    return readRange(this.#file, this.path, byteOffset + start, length, `tensor ${quote(name)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  #entry(name: string): TensorEntry {
    const unreadable = this.unreadable.get(name);
    if (unreadable) refuseType(this.path, name, unreadable);
    return this.tensors.get(name) ?? refuse(this.path, `it has no tensor ${quote(name)}`);
  }
}
