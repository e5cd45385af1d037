/**
 * Changes a keys file: reads it, changes it, and replaces it in one step. Two commands never overwrite each other's
 * change.
 */
import { open, rm } from "node:fs/promises";
import { AppError } from "../../errors.ts";
import { type KeysFile, readKeysFile, writeKeysFile } from "../../keys/keys-file.ts";
import { existsSync } from "node:fs";

/** @param change makes the new content @throws {AppError} usage */
export async function editKeysFile(path: string, change: (file: KeysFile) => KeysFile): Promise<void> {
  const lock = `${path}.lock`;
  const handle = await open(lock, "wx").catch((error: NodeJS.ErrnoException) => {
    const reason =
      error.code === "EEXIST"
        ? `another command changes it. If none runs, remove ${lock}`
        : `its directory cannot be written: ${error.message}`;
    throw new AppError("usage", `The keys file ${path} cannot be changed, because ${reason}.`);
  });
  try {
    const before: KeysFile = existsSync(path) ? await readKeysFile(path) : { version: 1, keys: [] };
    await writeKeysFile(path, change(before));
  } finally {
    await handle.close();
    await rm(lock, { force: true });
  }
}
