/**
 * Room on the store's disk. lmdb 3.5.6 can end the process when it commits to a full disk (seen by the history of load
 * tests). So no change begins where the disk could become full. Knows no tables.
 */
import { statfsSync } from "node:fs";

/** Room that changes leave to the other users of the disk, in bytes. */
const MARGIN_BYTES = 512 * 1024;
/** Room for the pages that LMDB copies for any change, in bytes. */
const CHANGE_BYTES = 64 * 1024;

/** Ends a reservation. */
export type Release = () => void;

export class DiskRoom {
  readonly #dir: string;
  /** Bytes of the changes that run. */
  #reserved = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Reserves room for a change. @param bytes of its content @returns null: there is not enough */
  tryReserve(bytes: number): Release | null {
    const needed = bytes + CHANGE_BYTES;
    if (this.freeBytes() < MARGIN_BYTES + this.#reserved + needed) return null;
    this.#reserved += needed;
    return () => void (this.#reserved -= needed);
  }

  /** Infinity where the file system does not know its size. */
  freeBytes(): number {
    const { blocks, bavail, bsize } = statfsSync(this.#dir);
    return blocks === 0 ? Infinity : bavail * bsize;
  }
}
