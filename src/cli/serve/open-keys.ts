/** The keys of a server: those of --api-key, and those of the --keys file, which is followed while the server runs. */
import type { Logger } from "pino";
import type { ConfigOf } from "../../config/commands.ts";
import { KeyRing } from "../../keys/key-ring.ts";
import { readKeysFile } from "../../keys/keys-file.ts";
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
  ring.setFile(await readKeysFile(path));
  const stop = watchKeysFile(path, {
    onKeys: (file) => {
      ring.setFile(file);
      log.info({ keys: file.keys.length }, "the keys file was read again");
    },
    onFault: (error) =>
      log.error({ reason: (error as Error).message }, "the keys file was not read again, and the earlier keys stay"),
  });
  cleanup.defer(stop);
  return ring;
}
