/**
 * The header of a GGUF file: metadata, and the place of each tensor. Every
 * count, length, offset and range is checked against the size of the file.
 * Tensors may not overlap. Pure: bytes in, values out.
 * Source: the GGUF specification of the ggml project, versions 2 and 3, little-endian.
 */
import { quote } from "../../errors.ts";
import { type BlockType, blockTypeOf } from "./block-types.ts";
import { Cursor } from "./cursor.ts";
import { type GgufMetadata, readMetadata } from "./metadata.ts";

export interface GgufTensor {
  readonly name: string;
  readonly type: BlockType;
  /** Outermost dimension first, as everywhere in this project; the file has the reverse order. */
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 0x46554747; // "GGUF"
const VERSIONS: readonly number[] = [2, 3];
const MAX_DIMENSIONS = 4;
const MAX_NAME_LENGTH = 256;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 2 ** 20;
/** Minimum bytes of a tensor's entry: the length of its name, the number of dimensions, type and offset. */
const LEAST_TENSOR_BYTES = 24;

/** Whether a file that begins with these bytes is, or should be, a GGUF file. */
export function isGguf(start: Buffer): boolean {
  return start.length >= 4 && start.readUInt32LE() === MAGIC;
}

/**
 * @param bytes the beginning of the file, or all of it
 * @throws {NeedsMoreBytes} where the header continues after `bytes`
 * @throws {AppError} checkpoint_invalid for every violation of the format, checkpoint_unsupported for versions and
 * types
 */
export function parseGgufHeader(path: string, bytes: Uint8Array, fileBytes: number): GgufHeader {
  const from = new Cursor(path, bytes, fileBytes);
  if (from.uint32() !== MAGIC) from.refuse('it does not begin with "GGUF"');
  const version = from.uint32();
  if (!VERSIONS.includes(version)) refuseVersion(from, version);
  const tensorCount = from.uint64();
  const metadata = readMetadata(from, from.uint64());
  if (tensorCount * BigInt(LEAST_TENSOR_BYTES) > BigInt(from.remaining))
    from.refuse(`it claims ${tensorCount} tensors, but only ${from.remaining} bytes follow`);
  const entries = new Map<string, TensorEntry>();
  for (let i = 0n; i < tensorCount; i++) {
    const entry = readEntry(from, i);
    if (entries.has(entry.name)) from.refuse(`the tensor ${quote(entry.name)} occurs twice`);
    entries.set(entry.name, entry);
  }
  return { metadata, tensors: placeTensors(from, [...entries.values()], alignmentOf(from, metadata)) };
}

function refuseVersion(from: Cursor, version: number): never {
  const swapped = Buffer.alloc(4);
  swapped.writeUInt32BE(version);
  if (VERSIONS.includes(swapped.readUInt32LE()))
    from.refuse("it is big-endian, but only little-endian files are supported");
  return from.refuse(`it has version ${version}, but only versions ${VERSIONS.join(" and ")} are supported`);
}

interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: BlockType;
  /** From the start of the data. */
  readonly offset: bigint;
  readonly byteLength: number;
}

function readEntry(from: Cursor, index: bigint): TensorEntry {
  const name = from.string(`the name of tensor ${index}`);
  const tensor = `tensor ${quote(name)}`;
  if (name.length > MAX_NAME_LENGTH) from.refuse(`${tensor} has a name of ${name.length} characters`);
  const numDimensions = from.uint32();
  if (numDimensions > MAX_DIMENSIONS) from.refuse(`${tensor} has ${numDimensions} dimensions`);
  const sizes = Array.from({ length: numDimensions }, () => from.uint64());
  const id = from.uint32();
  const type = blockTypeOf(id) ?? from.refuse(`${tensor} has the unknown type ${id}`);
  const elements = sizes.reduce((product, size) => product * size, 1n);
  if (elements === 0n || elements > BigInt(Number.MAX_SAFE_INTEGER))
    from.refuse(`${tensor} has the impossible shape [${sizes.join(",")}]`);
  if ((sizes[0] ?? 1n) % BigInt(type.blockSize) !== 0n)
    from.refuse(`${tensor} has rows of ${sizes[0] ?? 1n} values, but ${type.name} has blocks of ${type.blockSize}`);
  const byteLength = (elements / BigInt(type.blockSize)) * BigInt(type.blockBytes);
  if (byteLength > BigInt(from.fileBytes))
    from.refuse(`${tensor} has ${byteLength} bytes, but the file has ${from.fileBytes}`);
  return { name, type, shape: sizes.map(Number).reverse(), offset: from.uint64(), byteLength: Number(byteLength) };
}

function alignmentOf(from: Cursor, metadata: GgufMetadata): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  const isPower = typeof alignment === "number" && Number.isInteger(Math.log2(alignment)) && alignment >= 1;
  if (!isPower || alignment > MAX_ALIGNMENT)
    from.refuse(`its general.alignment must be a power of two up to ${MAX_ALIGNMENT}, but is ${String(alignment)}`);
  return alignment;
}

/** The places of the tensors in the file. The data begins at the first aligned byte after the header. */
function placeTensors(
  from: Cursor,
  entries: readonly TensorEntry[],
  alignment: number,
): ReadonlyMap<string, GgufTensor> {
  const dataStart = Math.ceil(from.position / alignment) * alignment;
  const dataBytes = Math.max(0, from.fileBytes - dataStart);
  const tensors = new Map<string, GgufTensor>();
  for (const { name, type, shape, offset, byteLength } of entries) {
    const tensor = `tensor ${quote(name)}`;
    if (offset % BigInt(alignment) !== 0n)
      from.refuse(`${tensor} begins at ${offset}, which is not a multiple of ${alignment}`);
    if (offset + BigInt(byteLength) > BigInt(dataBytes))
      from.refuse(`${tensor} lies at ${offset}+${byteLength}, outside the ${dataBytes} bytes of data`);
    tensors.set(name, { name, type, shape, byteOffset: dataStart + Number(offset), byteLength });
  }
  let end = 0;
  for (const { name, byteOffset, byteLength } of [...tensors.values()].sort((a, b) => a.byteOffset - b.byteOffset)) {
    if (byteOffset < end) from.refuse(`tensor ${quote(name)} overlaps the tensor before it`);
    end = byteOffset + byteLength;
  }
  return tensors;
}
