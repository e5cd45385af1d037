/** `mosara keys revoke`: removes a key from the keys file. A running server refuses it within two seconds. */
import type { ConfigOf } from "../config/commands.ts";
import { AppError, quote } from "../errors.ts";
import { editKeysFile } from "./keys/edit-keys-file.ts";

/** @returns the exit code. @throws {AppError} */
export async function keysRevoke(config: ConfigOf<"keys revoke">): Promise<number> {
  const [id = ""] = config.positionals;
  const { keys: file } = config;
  await editKeysFile(file, (before) => {
    const keys = before.keys.filter((entry) => entry.id !== id);
    if (keys.length === before.keys.length)
      throw new AppError(
        "usage",
        `${file} has no key ${quote(id)}. Its keys: ${keys.map((entry) => entry.id).join(", ") || "none"}.`,
      );
    return { ...before, keys };
  });
  process.stdout.write(config.json ? `${JSON.stringify({ id, revoked: true })}\n` : `${id} revoked\n`);
  return 0;
}
