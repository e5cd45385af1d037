/**
 * Reads little-endian numbers and strings from the start of a GGUF file. The bytes may be only a part of the file.
 * A read past these bytes throws `NeedsMoreBytes`; a read past the file is an error.
 * Every length is compared with the remaining size of the file before it is used.
 */
import { isUtf8 } from "node:buffer";
import { AppError } from "../../errors.ts";

/** The given bytes end before the header does, and the file has more. */
export class NeedsMoreBytes extends Error {}

/** @throws always */
export function refuseGguf(path: string, problem: string, cause?: unknown): never {
  const message = `${path} is not a usable GGUF file: ${problem}. Copy or download it again, or convert the model again.`;
  throw new AppError("checkpoint_invalid", message, cause === undefined ? {} : { cause });
}

export class Cursor {
  readonly path: string;
  readonly fileBytes: number;
  readonly #bytes: Buffer;
  #position = 0;

  /** @param bytes the first bytes of the file, or the whole file */
  constructor(path: string, bytes: Uint8Array, fileBytes: number) {
    this.path = path;
    this.fileBytes = fileBytes;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#position;
  }

  /** Bytes of the file that have not been read. */
  get remaining(): number {
    return this.fileBytes - this.#position;
  }

  refuse(problem: string): never {
    return refuseGguf(this.path, problem);
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  int16(): number {
    return this.#bytes.readInt16LE(this.#take(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  int32(): number {
    return this.#bytes.readInt32LE(this.#take(4));
  }

  float32(): number {
    return this.#bytes.readFloatLE(this.#take(4));
  }

  float64(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  uint64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64LE(this.#take(8));
  }

  /** A count of items, each of which needs `leastBytes` or more of the remaining file. */
  count(what: string, leastBytes: number): number {
    const count = this.uint64();
    if (count * BigInt(leastBytes) > BigInt(this.remaining))
      this.refuse(`${what} has the length ${count}, but only ${this.remaining} bytes follow`);
    return Number(count);
  }

  /** A length, and that many bytes of UTF-8. */
  string(what: string): string {
    const length = this.count(what, 1);
    const start = this.#take(length);
    const bytes = this.#bytes.subarray(start, start + length);
    if (!isUtf8(bytes)) this.refuse(`${what} is not UTF-8`);
    return bytes.toString("utf8");
  }

  /** `length` bytes in memory of their own. */
  copy(length: number): Uint8Array<ArrayBuffer> {
    const start = this.#take(length);
    const copy = new Uint8Array(length);
    copy.set(this.#bytes.subarray(start, start + length));
    return copy;
  }

  /** The position of the next `length` bytes, which are skipped. */
  #take(length: number): number {
    const start = this.#position;
    if (length > this.fileBytes - start) this.refuse("it ends inside its header");
    if (start + length > this.#bytes.length) throw new NeedsMoreBytes();
    this.#position = start + length;
    return start;
  }
}
