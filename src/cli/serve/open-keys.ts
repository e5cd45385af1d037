/** The keys of a server: those of --api-key, and those of the --keys file, which is followed while the server runs. */
import type { Logger } from "pino";
import type { ConfigOf } from "../../config/commands.ts";
import { KeyRing } from "../../keys/key-ring.ts";
import { type KeysFile, readKeysFile } from "../../keys/keys-file.ts";
import { watchKeysFile } from "../../keys/watch-keys-file.ts";
import type { Cleanup } from "../shared/cleanup.ts";

/** @throws {AppError} usage: the file cannot be used */
export async function openKeys(
  { apiKey, keys: path }: Pick<ConfigOf<"serve">, "apiKey" | "keys">,
  log: Logger,
  cleanup: Cleanup,
): Promise<KeyRing> {
  const ring = new KeyRing(apiKey);
  if (path === null) return ring;
  let last = await readKeysFile(path);
  ring.setFile(last);
  const stop = watchKeysFile(path, {
    onKeys: (file) => {
      ring.setFile(file);
      log.info({ keys: file.keys.length, ...changesBetween(last, file) }, "the keys file was read again");
      last = file;
    },
    onFault: (error) =>
      log.error({ reason: (error as Error).message }, "the keys file was not read again, and the earlier keys stay"),
  });
  cleanup.defer(stop);
  return ring;
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
