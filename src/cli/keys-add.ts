/** `mosara keys add`: makes a key, writes its hash into the keys file, and prints the key. It is never shown again. */
import { createHash, randomBytes } from "node:crypto";
import type { ConfigOf } from "../config/commands.ts";
import { AppError, quote } from "../errors.ts";
import { KEY_ID, type KeyEntry } from "../keys/keys-file.ts";
import type { Limits } from "../keys/limits.ts";
import { editKeysFile } from "./keys/edit-keys-file.ts";

const SECRET_BYTES = 32;

/** The limits of the flags that were given, as the keys file has them. */
function limitsOf(config: ConfigOf<"keys add">): Limits {
  const { requestsPerMinute, tokensPerMinute, concurrent, queueShare, maxAdapters, maxBytes, priority } = config;
  const all = {
    requestsPerMinute,
    tokensPerMinute,
    concurrent,
    queueShare,
    adapters: maxAdapters,
    bytes: maxBytes,
    priority,
  };
  return Object.fromEntries(Object.entries(all).filter(([, limit]) => limit !== null));
}

/** @returns the exit code. @throws {AppError} */
export async function keysAdd(config: ConfigOf<"keys add">): Promise<number> {
  const [id = ""] = config.positionals;
  if (!KEY_ID.test(id))
    throw new AppError(
      "usage",
      `A key's id has 1 to 64 letters, digits, ".", "_" or "-", found ${quote(id)}. Choose another id.`,
    );
  const key = `mosara-${randomBytes(SECRET_BYTES).toString("base64url")}`;
  const { keys: file, tenant, scopes, adapters, expires } = config;
  const limits = limitsOf(config);
  const entry: KeyEntry = {
    id,
    sha256: createHash("sha256").update(key).digest("hex"),
    tenant,
    scopes,
    ...(adapters === null ? {} : { adapters: [...adapters] }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    ...(expires === null ? {} : { expires }),
  };
  await editKeysFile(file, (before) => {
    if (before.keys.some((one) => one.id === id))
      throw new AppError("usage", `${file} already has a key "${id}". Choose another id, or revoke that key first.`);
    return { ...before, keys: [...before.keys, entry] };
  });
  const { sha256: _, ...shown } = entry;
  process.stdout.write(config.json ? `${JSON.stringify({ ...shown, key })}\n` : `${key}\n`);
  process.stderr.write(`${file}: added the key "${id}" of the tenant ${tenant}. It is not shown again.\n`);
  if (expires !== null && Date.parse(expires) <= Date.now())
    process.stderr.write(`warning: ${expires} is in the past, so this key can never be used.\n`);
  return 0;
}
