/** The check of the file with keys. */
import { stat } from "node:fs/promises";
import { readKeysFile } from "../../keys/keys-file.ts";
import { type Check, ok, warn } from "./check.ts";

export async function checkKeys(path: string): Promise<Check> {
  const { keys } = await readKeysFile(path);
  const { mode } = await stat(path);
  const ended = keys.filter(({ expires }) => typeof expires === "string" && Date.parse(expires) <= Date.now());
  const found = `${keys.length} keys of ${new Set(keys.map(({ tenant }) => tenant)).size} tenants`;
  if (process.platform !== "win32" && (mode & 0o022) !== 0)
    return warn("keys", `other users may write ${path}, and give themselves keys`, `Run chmod 600 ${path}.`);
  if (keys.length === 0) return warn("keys", `${path} has no key`, "Add one with mosara keys add.");
  if (ended.length === 0) return ok("keys", found);
  const names = ended.slice(0, 5).map(({ id }) => id);
  return warn(
    "keys",
    `${found}; ${ended.length} have ended: ${names.join(", ")}`,
    "Remove them with mosara keys revoke.",
  );
}
