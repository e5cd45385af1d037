/** A small file system of its own for a test, which can fill it. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Disk } from "../../load-tests/history/disk.ts";

/** @returns null where nothing can be mounted: it takes Linux, as root */
export function smallDisk(kibibytes: number): Disk | null {
  const disk = Disk.mount(mkdtempSync(join(tmpdir(), "mosara-disk-")), kibibytes);
  if (disk === null) console.warn("No file system can be mounted: the tests of a full disk are skipped.");
  return disk;
}
