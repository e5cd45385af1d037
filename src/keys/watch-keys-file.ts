/**
 * Follows a keys file: it is read again when it changes, and on SIGHUP. A file that cannot be used changes nothing. Its
 * state is compared every second, because a mounted secret is replaced by links that no watcher reports.
 */
import { type StatsListener, unwatchFile, watchFile } from "node:fs";
import { type KeysFile, readKeysFile } from "./keys-file.ts";

export interface KeysFileListeners {
  readonly onKeys: (file: KeysFile) => void;
  readonly onFault: (error: unknown) => void;
}

const INTERVAL_MS = 1000;

/** Ends with the returned function. */
export function watchKeysFile(path: string, { onKeys, onFault }: KeysFileListeners): () => void {
  let last: Promise<unknown> = Promise.resolve();
  const read = (): void => {
    // One after another, so that the last state of the file decides.
    last = last.then(() => readKeysFile(path)).then(onKeys, onFault);
  };
  const onStats: StatsListener = () => read();
  watchFile(path, { interval: INTERVAL_MS, persistent: false }, onStats);
  process.on("SIGHUP", read);
  return () => {
    unwatchFile(path, onStats);
    process.off("SIGHUP", read);
  };
}
