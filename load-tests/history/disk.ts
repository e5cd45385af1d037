/** A small file system of its own for the store, which can be filled and made read-only. Needs the right to mount. */
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, fstatSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

export class Disk implements Disposable {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Continues with the one that a stopped run has left. @returns null where mounting is not permitted */
  static mount(dir: string, kibibytes: number): Disk | null {
    mkdirSync(dir, { recursive: true });
    if (run("mountpoint", "-q", dir)) {
      const disk = new Disk(dir);
      disk.setReadOnly(false);
      disk.empty();
      return disk;
    }
    return run("mount", "-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", dir) ? new Disk(dir) : null;
  }

  /** Fills it, even in the middle of changes. @param numLeft kibibytes that stay free */
  fill(numLeft = 0): void {
    const file = openSync(this.#filler, "w");
    try {
      for (let size = 2 ** 20; size >= 1; size = Math.floor(size / 2)) writeUntilFull(file, new Uint8Array(size));
      ftruncateSync(file, fstatSync(file).size - numLeft * 1024);
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  /** @returns whether it has this size now */
  resize(kibibytes: number): boolean {
    return run("mount", "-o", `remount,size=${kibibytes}k`, this.dir);
  }

  /** @returns whether it could be changed: nothing may have a file open for writing */
  setReadOnly(isReadOnly: boolean): boolean {
    return run("mount", "-o", `remount,${isReadOnly ? "ro" : "rw"}`, this.dir);
  }

  [Symbol.dispose](): void {
    run("umount", this.dir);
  }

  get #filler(): string {
    return join(this.dir, "filler");
  }
}

function writeUntilFull(file: number, bytes: Uint8Array): void {
  try {
    for (;;) writeSync(file, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

function run(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}
