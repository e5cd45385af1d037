/** `mosara keys list`: the keys of a file, without their hashes. */
import type { ConfigOf } from "../config/commands.ts";
import { type KeyEntry, readKeysFile } from "../keys/keys-file.ts";

/** @returns the exit code. @throws {AppError} */
export async function keysList(config: ConfigOf<"keys list">): Promise<number> {
  const { keys } = await readKeysFile(config.keys);
  const shown = keys.map((key) => {
    const { sha256: _, ...entry } = key;
    return { ...entry, expired: isExpired(entry) };
  });
  if (config.json) process.stdout.write(`${JSON.stringify({ keys: shown })}\n`);
  else for (const entry of shown) process.stdout.write(`${lineOf(entry)}\n`);
  return 0;
}

function isExpired({ expires }: Pick<KeyEntry, "expires">): boolean {
  return expires !== undefined && Date.parse(expires) <= Date.now();
}

function lineOf(entry: Omit<KeyEntry, "sha256"> & { readonly expired: boolean }): string {
  const { id, tenant, scopes, adapters, limits = {}, expires, expired } = entry;
  const parts = [id, `tenant=${tenant}`, `scopes=${scopes.join(",")}`];
  if (adapters) parts.push(`adapters=${adapters.join(",")}`);
  for (const [limit, value] of Object.entries(limits)) parts.push(`${limit}=${value}`);
  if (expires !== undefined) parts.push(`${expired ? "expired" : "expires"}=${expires}`);
  return parts.join(" ");
}
