/**
 * Room in an LMDB file for its changes. lmdb 3.5.6 can end the process when it meets a full disk, even between commits
 * (seen by the history of load tests, twice). So a file has its room before a change begins, in zeros at its end. LMDB
 * writes over them as its pages grow. A full disk is then met here, where nothing is lost. Knows no tables.
 *
 * Zeros are only appended, so no byte that LMDB has written is overwritten: the system does one of both after the
 * other.
 */
import { appendFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RootDatabase } from "lmdb";
import { AppError } from "../../errors.ts";

/** Room for the pages that LMDB copies for any change, in bytes. */
const CHANGE_BYTES = 64 * 1024;
/** Room for changes that reserve nothing, such as marks of deletions, in bytes. */
const UNRESERVED_BYTES = 256 * 1024;
/** Room that contents leave to changes without content. So what fills the disk can be deleted. In bytes. */
const DELETION_BYTES = 256 * 1024;
/** Growth beyond what is needed, so that few changes have to wait for it, in bytes. */
const STEP_BYTES = 1024 * 1024;
/** Room that the file leaves to other users of the disk, in bytes. */
const OTHERS_BYTES = 512 * 1024;

/** Ends a reservation. */
export type Release = () => void;

export class DiskRoom {
  readonly #root: RootDatabase;
  readonly #dir: string;
  readonly #path: string;
  /** Bytes of the changes that run. */
  #reserved = 0;

  /** @param root of the environment in `dir` */
  constructor(root: RootDatabase, dir: string) {
    this.#root = root;
    this.#dir = dir;
    this.#path = join(dir, "data.mdb");
  }

  /**
   * Reserves room for a change.
   * @param bytes of its content; 0 for one that only removes or counts
   * @throws {AppError} store_failed: there is not enough
   */
  reserve(bytes: number): Release {
    const needed = bytes + CHANGE_BYTES;
    try {
      this.#grow(UNRESERVED_BYTES + (bytes > 0 ? DELETION_BYTES : 0) + this.#reserved + needed);
    } catch (error) {
      throw notWritten(error);
    }
    this.#reserved += needed;
    return () => void (this.#reserved -= needed);
  }

  /** Gives the file this much room beyond its last page. */
  #grow(bytes: number): void {
    const missing = bytes - this.#room();
    if (missing <= 0) return;
    const free = freeBytes(this.#dir);
    if (missing > free - OTHERS_BYTES) throw new Error(`only ${free} bytes of its disk are free`);
    appendFileSync(this.#path, new Uint8Array(Math.min(missing + STEP_BYTES, free - OTHERS_BYTES)));
  }

  #room(): number {
    const { pageSize, lastPageNumber } = this.#root.getStats() as { pageSize: number; lastPageNumber: number };
    return statSync(this.#path).size - (lastPageNumber + 1) * pageSize;
  }
}

/** The error of a change that the disk did not take. */
export function notWritten(cause: unknown): AppError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AppError(
    "store_failed",
    `The store could not write the change, so nothing was changed: ${reason}. Its disk may be full or read-only.`,
    { cause },
  );
}

/** Infinity where the file system does not know its size. */
export function freeBytes(dir: string): number {
  const { blocks, bavail, bsize } = statfsSync(dir);
  return blocks === 0 ? Infinity : bavail * bsize;
}
