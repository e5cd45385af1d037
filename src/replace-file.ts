/** Files that are replaced in one step: a reader finds the old content or the new one, never a part. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";

/** Writes what the file is to contain. */
type Fill = (file: FileHandle) => Promise<void>;

interface ReplaceOptions {
  /** Of a new file, without the bits that the process masks. */
  readonly mode?: number;
  /** false for a file that may be lost with the machine's power. */
  readonly isSynced?: boolean;
}

/**
 * Writes a file beside `path` and renames it when it is complete.
 * @throws every error of `content` or the file system; then nothing is left behind, and an old file is unchanged
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array | Fill,
  { mode = 0o666, isSynced = true }: ReplaceOptions = {},
): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    {
      await using file = await open(temporary, "wx", mode);
      await (typeof content === "function" ? content(file) : file.writeFile(content));
      if (isSynced) await file.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
