/**
 * Follows files that an operator may change while the program runs: they are read again when one of them changes, and
 * on SIGHUP. Their state is compared every second, because a mounted secret is replaced by links that no watcher
 * reports.
 */
import { type StatsListener, unwatchFile, watchFile } from "node:fs";

export interface FileListeners<T> {
  readonly onRead: (value: T) => void;
  /** The files could not be read or used. What was read before stays. */
  readonly onFault: (error: unknown) => void;
}

const INTERVAL_MS = 1000;

/** Ends with the returned function. */
export function watchFiles<T>(
  paths: readonly string[],
  readFiles: () => Promise<T>,
  { onRead, onFault }: FileListeners<T>,
): () => void {
  let last: Promise<unknown> = Promise.resolve();
  const read = (): void => {
    // One after another, so that the last state of the files decides.
    last = last.then(readFiles).then(onRead, onFault);
  };
  const onStats: StatsListener = () => read();
  for (const path of paths) watchFile(path, { interval: INTERVAL_MS, persistent: false }, onStats);
  process.on("SIGHUP", read);
  return () => {
    for (const path of paths) unwatchFile(path, onStats);
    process.off("SIGHUP", read);
  };
}
