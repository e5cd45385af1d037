/** A small file system of its own, which a test can fill. */
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class SmallDisk {
  readonly dir: string;
  readonly #filler: string;

  private constructor(dir: string) {
    this.dir = dir;
    this.#filler = join(dir, "filler");
  }

  /** @returns null where nothing can be mounted: it takes Linux, as root */
  static mount(kibibytes: number): SmallDisk | null {
    const dir = mkdtempSync(join(tmpdir(), "mosara-disk-"));
    if (mount("-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", dir)) return new SmallDisk(dir);
    rmSync(dir, { recursive: true });
    console.warn("No file system can be mounted: the tests of a full disk are skipped.");
    return null;
  }

  /** Fills it. @param numLeft kibibytes that stay free */
  fill(numLeft = 0): void {
    writeFileSync(this.#filler, "");
    try {
      for (;;) appendFileSync(this.#filler, new Uint8Array(1024));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
    truncateSync(this.#filler, statSync(this.#filler).size - numLeft * 1024);
  }

  /** Takes away what filled it, and gives it another size. */
  enlarge(mebibytes: number): void {
    rmSync(this.#filler, { force: true });
    if (!mount("-o", `remount,size=${mebibytes}m`, this.dir)) throw new Error(`${this.dir} could not be enlarged`);
  }

  [Symbol.dispose](): void {
    spawnSync("umount", [this.dir]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function mount(...args: string[]): boolean {
  return spawnSync("mount", args, { stdio: "ignore" }).status === 0;
}
