/** The keys of a server: those of --api-key, and those of the --keys file, which is followed while the server runs. */
import type { Logger } from "pino";
import type { ConfigOf } from "../../config/commands.ts";
import { KeyRing } from "../../keys/key-ring.ts";
import { type KeysFile, readKeysFile } from "../../keys/keys-file.ts";
import { MIN_LENGTH_ANYWHERE } from "../../log/redact.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { watchFiles } from "./watch-files.ts";

/** @throws {AppError} usage: the file cannot be used */
export async function openKeys(
  { apiKey, keys: path }: Pick<ConfigOf<"serve">, "apiKey" | "keys">,
  log: Logger,
  cleanup: Cleanup,
): Promise<KeyRing> {
  const ring = new KeyRing(apiKey);
  noteShortKeys(apiKey, log);
  if (path === null) return ring;
  let last = await readKeysFile(path);
  ring.setFile(last);
  noteUnusedLimits(last, ring, log);
  const stop = watchFiles([path], () => readKeysFile(path), {
    onRead: (file) => {
      ring.setFile(file);
      log.info({ keys: file.keys.length, ...changesBetween(last, file) }, "the keys file was read again");
      noteUnusedLimits(file, ring, log);
      last = file;
    },
    onFault: (error) =>
      log.error({ reason: (error as Error).message }, "the keys file was not read again, and the earlier keys stay"),
  });
  cleanup.defer(stop);
  return ring;
}

/** A short key is not refused, because a server that used it before an update must also start after the update. */
function noteShortKeys(keys: ConfigOf<"serve">["apiKey"], log: Logger): void {
  const tenants = new Set(keys.flatMap(({ tenant, key }) => (key.length < MIN_LENGTH_ANYWHERE ? [tenant] : [])));
  if (tenants.size === 0) return;
  log.warn(
    { tenants: [...tenants] },
    `keys shorter than ${MIN_LENGTH_ANYWHERE} characters can be guessed, and the log hides them only where they are whole words. "mosara keys add" makes a key that is long enough`,
  );
}

/** Warns of limits without a key. The name of their tenant is often misspelt. */
function noteUnusedLimits({ tenants = {} }: KeysFile, ring: KeyRing, log: Logger): void {
  const unused = Object.keys(tenants).filter((tenant) => !ring.hasTenant(tenant));
  if (unused.length === 0) return;
  log.warn({ tenants: unused }, "the keys file has limits of tenants that have no key, so these limits have no effect");
}

/** Ids of the keys that came, went or changed, without their hashes. */
function changesBetween(before: KeysFile, after: KeysFile): Record<string, string[]> {
  const texts = (file: KeysFile) => new Map(file.keys.map((entry) => [entry.id, JSON.stringify(entry)]));
  const [old, now] = [texts(before), texts(after)];
  return {
    added: [...now.keys()].filter((id) => !old.has(id)),
    removed: [...old.keys()].filter((id) => !now.has(id)),
    changed: [...now].flatMap(([id, text]) => (old.has(id) && old.get(id) !== text ? [id] : [])),
  };
}
