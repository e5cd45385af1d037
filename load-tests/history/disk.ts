/** A small file system of its own for the store, which can be filled and made read-only. Needs the right to mount. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Room at which the store begins no change, in bytes, with room for those that have begun. */
const LAST_BYTES = 400 * 1024;
/** For changes that the server makes by itself, after an answer. */
const LAST_PAUSE_MS = 1000;

export class Disk {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Continues with the one that a stopped run has left. @returns null where mounting is not permitted */
  static mount(dir: string, mebibytes: number): Disk | null {
    mkdirSync(dir, { recursive: true });
    if (run("mountpoint", "-q", dir)) {
      const disk = new Disk(dir);
      disk.setReadOnly(false);
      disk.empty();
      return disk;
    }
    return run("mount", "-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", dir) ? new Disk(dir) : null;
  }

  /**
   * Fills it to the last byte. The last part follows when the changes that had begun have ended: a commit of lmdb that
   * meets a full disk may end the process.
   * @param settled resolves when the writes that run now have been answered
   */
  async fill(settled: () => Promise<void>): Promise<void> {
    const file = openSync(this.#filler, "w");
    try {
      const { bavail, bsize } = statfsSync(this.#dir);
      for (let left = bavail * bsize - LAST_BYTES; left > 0; left -= 2 ** 20)
        writeUntilFull(file, new Uint8Array(Math.min(left, 2 ** 20)), 1);
      await settled();
      await sleep(LAST_PAUSE_MS);
      for (let size = 2 ** 20; size >= 1; size = Math.floor(size / 2)) writeUntilFull(file, new Uint8Array(size));
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  /** @returns whether it could be changed: nothing may have a file open for writing */
  setReadOnly(isReadOnly: boolean): boolean {
    return run("mount", "-o", `remount,${isReadOnly ? "ro" : "rw"}`, this.#dir);
  }

  unmount(): void {
    run("umount", this.#dir);
  }

  get #filler(): string {
    return join(this.#dir, "filler");
  }
}

function writeUntilFull(file: number, bytes: Uint8Array, times = Infinity): void {
  try {
    for (let i = 0; i < times; i++) writeSync(file, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

function run(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}
