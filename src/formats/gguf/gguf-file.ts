/**
 * An open GGUF model: one file, or a model split into several. Tensors are
 * read and decoded on demand, so a model is never in memory as a whole.
 * Knows only names, types, shapes and metadata, nothing of models.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { quote } from "../../errors.ts";
import { DTYPES } from "../../tensor/dtype.ts";
import { type HostTensor, hostTensor, numElements } from "../../tensor/host-tensor.ts";
import type { BlockType } from "./block-types.ts";
import { NeedsMoreBytes, refuseGguf } from "./cursor.ts";
import { type GgufHeader, type GgufTensor, isGguf, parseGgufHeader } from "./header.ts";
import type { GgufMetadata } from "./metadata.ts";
import { splitPaths } from "./split-files.ts";

/** An open model. The opener disposes of it. */
export interface GgufFile extends AsyncDisposable {
  /** Path of the first file, where there are several. */
  readonly path: string;
  /** All files, in order. */
  readonly paths: readonly string[];
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /**
   * Some rows (along the outermost dimension) of a tensor in memory of
   * their own: in the tensor's element type, or decoded to float32.
   * @throws {AppError} checkpoint_invalid for a file that shrank. An unknown name, rows outside the tensor, or an
   * unsupported type are bugs of the caller.
   */
  readRows(name: string, firstRow: number, numRows: number): Promise<HostTensor>;
  /** The same rows undecoded, uint8 [numRows, bytes of a row]. @throws as `readRows` */
  readCodedRows(name: string, firstRow: number, numRows: number): Promise<HostTensor>;
}

// Headers of real models have 2 to 20 MB, most of it their vocabulary.
const FIRST_BYTES = 2 ** 22;
const MAX_HEADER_BYTES = 2 ** 29;
/** Coded bytes in memory at once while a tensor is decoded; rounded down to whole blocks. */
const CHUNK_BYTES = 2 ** 24;
// One read call takes at most 2 GiB minus a page on Linux.
const MAX_READ_BYTES = 2 ** 30;

/** Opens a model and checks all headers. @throws {AppError} checkpoint_invalid, checkpoint_unsupported */
export async function openGguf(path: string): Promise<GgufFile> {
  const parts: Part[] = [];
  const close = async (): Promise<void> => {
    for (const { file } of parts) await file.close();
  };
  try {
    parts.push(await openPart(path));
    const paths = splitPaths(path, parts[0]!.header.metadata); // it was pushed just now
    if (paths.length > 1) {
      await close();
      parts.length = 0;
      for (const each of paths) {
        const part = await openPart(each);
        parts.push(part);
        splitPaths(each, part.header.metadata); // the file is the part that its name states
      }
    }
    return new OpenModel(parts, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** All files of a model, in order. @throws {AppError} as `openGguf` */
export async function ggufPaths(path: string): Promise<readonly string[]> {
  await using file = await openGguf(path);
  return file.paths;
}

/** Whether a file begins as GGUF files do. */
export async function isGgufFile(path: string): Promise<boolean> {
  const file = await open(path).catch(() => null);
  if (file === null) return false;
  try {
    if (!(await file.stat()).isFile()) return false; // a directory opens, and fails when it is read
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return isGguf(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

interface Part {
  readonly path: string;
  readonly file: FileHandle;
  readonly header: GgufHeader;
}

async function openPart(path: string): Promise<Part> {
  // Opening a named pipe would block, so the kind of file is checked first.
  const kind = await stat(path).catch((cause: unknown) => refuseGguf(path, "it cannot be found", cause));
  if (!kind.isFile()) refuseGguf(path, "it is not a regular file");
  const file = await open(path).catch((cause: unknown) => refuseGguf(path, "it cannot be opened", cause));
  try {
    return { path, file, header: await readHeader(file, path, kind.size) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: FileHandle, path: string, fileBytes: number): Promise<GgufHeader> {
  for (let length = Math.min(FIRST_BYTES, fileBytes); ; length = Math.min(4 * length, fileBytes)) {
    if (length > MAX_HEADER_BYTES) refuseGguf(path, `its header is longer than ${MAX_HEADER_BYTES} bytes`);
    const bytes = new Uint8Array(length);
    await readInto(file, path, bytes, 0, "the header");
    try {
      return parseGgufHeader(path, bytes, fileBytes);
    } catch (error) {
      if (!(error instanceof NeedsMoreBytes)) throw error;
    }
  }
}

async function readInto(file: FileHandle, path: string, bytes: Uint8Array, start: number, what: string): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const length = Math.min(bytes.length - done, MAX_READ_BYTES);
    const { bytesRead } = await file.read(bytes, done, length, start + done);
    if (bytesRead === 0) refuseGguf(path, `the file ends inside ${what}`);
    done += bytesRead;
  }
}

class OpenModel implements GgufFile {
  readonly path: string;
  readonly paths: readonly string[];
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly #homes: ReadonlyMap<string, Part>;
  readonly #close: () => Promise<void>;

  constructor(parts: readonly Part[], close: () => Promise<void>) {
    const homes = new Map<string, Part>();
    const tensors = new Map<string, GgufTensor>();
    for (const part of parts)
      for (const [name, tensor] of part.header.tensors) {
        const other = homes.get(name);
        if (other) refuseGguf(part.path, `the tensor ${quote(name)} lies in ${other.path} too`);
        homes.set(name, part);
        tensors.set(name, tensor);
      }
    const first = parts[0]!; // a model has at least one file
    const total = first.header.metadata.get("split.tensors.count");
    if (total !== undefined && total !== tensors.size)
      refuseGguf(
        first.path,
        `it announces ${String(total)} tensors, but its ${parts.length} files have ${tensors.size}`,
      );
    this.path = first.path;
    this.paths = parts.map(({ path }) => path);
    this.metadata = first.header.metadata;
    this.tensors = tensors;
    this.#homes = homes;
    this.#close = close;
  }

  async readRows(name: string, firstRow: number, numRows: number): Promise<HostTensor> {
    const home = this.#homes.get(name);
    const tensor = this.tensors.get(name);
    if (!home || !tensor) throw new Error(`internal: no tensor ${name} in ${this.path}`);
    const { type, shape, byteLength, byteOffset } = tensor;
    const [allRows = 1, ...inner] = shape;
    if (type.dtype === null) throw new Error(`internal: the tensor ${name} has the type ${type.name}`);
    if (firstRow < 0 || firstRow + numRows > allRows)
      throw new Error(`internal: rows ${firstRow}+${numRows} of the tensor ${name}, which has ${allRows}`);
    const rowBytes = byteLength / allRows;
    const start = byteOffset + firstRow * rowBytes;
    const rowsShape = shape.length === 0 ? [] : [numRows, ...inner];
    return type.decode === null
      ? await this.#stored(home, tensor, start, rowsShape)
      : await this.#decoded(home, tensor, type.decode, start, rowsShape);
  }

  async readCodedRows(name: string, firstRow: number, numRows: number): Promise<HostTensor> {
    const home = this.#homes.get(name);
    const tensor = this.tensors.get(name);
    if (!home || !tensor) throw new Error(`internal: no tensor ${name} in ${this.path}`);
    const rowBytes = tensor.byteLength / (tensor.shape[0] ?? 1);
    const bytes = allocate(home.path, name, () => new Uint8Array(numRows * rowBytes));
    const what = `tensor ${quote(name)}`;
    await readInto(home.file, home.path, bytes, tensor.byteOffset + firstRow * rowBytes, what);
    return hostTensor("uint8", [numRows, rowBytes], bytes);
  }

  async #stored(home: Part, { name, type }: GgufTensor, start: number, shape: readonly number[]): Promise<HostTensor> {
    const dtype = type.dtype!; // readRows has checked this
    const data = allocate(home.path, name, () => new DTYPES[dtype].array(numElements(shape)));
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    await readInto(home.file, home.path, bytes, start, `tensor ${quote(name)}`);
    return hostTensor(dtype, shape, data);
  }

  async #decoded(
    home: Part,
    { name, type }: GgufTensor,
    decode: NonNullable<BlockType["decode"]>,
    start: number,
    shape: readonly number[],
  ): Promise<HostTensor> {
    const values = allocate(home.path, name, () => new Float32Array(numElements(shape)));
    const numBytes = (values.length / type.blockSize) * type.blockBytes;
    const chunk = new Uint8Array(Math.min(numBytes, CHUNK_BYTES - (CHUNK_BYTES % type.blockBytes)));
    for (let done = 0; done < numBytes; done += chunk.length) {
      const bytes = chunk.subarray(0, Math.min(chunk.length, numBytes - done));
      await readInto(home.file, home.path, bytes, start + done, `tensor ${quote(name)}`);
      decode(bytes, values, (done / type.blockBytes) * type.blockSize);
    }
    return hostTensor("float32", shape, values);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

function allocate<T>(path: string, name: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    return refuseGguf(path, `tensor ${quote(name)} is larger than this process can hold`, cause);
  }
}
