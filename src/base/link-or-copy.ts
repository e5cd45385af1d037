/** Gives a file of a base a place in another directory. */
import { existsSync } from "node:fs";
import { copyFile, link } from "node:fs/promises";

/**
 * ONNX Runtime reads external weights only from the model's own directory. A hard link costs nothing where it is
 * possible.
 */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  if (!existsSync(from)) return;
  try {
    await link(from, to);
  } catch {
    await copyFile(from, to); // another file system, or one without hard links
  }
}
