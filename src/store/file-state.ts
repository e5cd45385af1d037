/** The state of a file seen from outside: whether it has changed since, without reading it. */
import { type Stats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { peftStats } from "./directory-files.ts";

/** A file may be written again within a tick of the file system's clock: only an older state is remembered beyond this process. */
const SETTLED_MS = 2000;

/** Differs whenever a file was written, replaced or pointed elsewhere, as far as the file system's clock tells; told of a change, we read. */
export function fingerprint(found: readonly Stats[]): string {
  return found.map(({ dev, ino, size, mtimeMs, ctimeMs }) => [dev, ino, size, mtimeMs, ctimeMs].join(":")).join();
}

/** Whether nothing of it was written a moment ago. */
export function isSettled(found: readonly Stats[]): boolean {
  return found.every(({ mtimeMs, ctimeMs }) => Date.now() - Math.max(mtimeMs, ctimeMs) > SETTLED_MS);
}

/** A file's state, or a directory's with that of the files that count in it. @throws when there is nothing */
export async function statsOf(path: string): Promise<readonly Stats[]> {
  const found = await stat(path);
  return found.isDirectory() ? await peftStats(path) : [found];
}

/**
 * The same, undefined when there is nothing or it cannot be seen, by the call that blocks, for a quarter of the processor time: at the start
 * of a server, which answers nobody yet.
 */
export async function statsWaitedFor(path: string): Promise<readonly Stats[] | undefined> {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isDirectory() === true ? await peftStats(path) : found && [found];
  } catch {
    return undefined; // told of when it is looked at by itself
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
