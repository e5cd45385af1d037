/** The state of a file: it shows whether the file has changed, without reading it. */
import { type Stats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { peftStats } from "./directory-files.ts";

/**
 * A file may be written again within one tick of the file system's clock. Only an older state is stored for later
 * processes.
 */
const SETTLED_MS = 2000;

/**
 * Differs whenever a file was written, replaced or pointed elsewhere, as far as the file system's clock shows. After a
 * reported change the file is read anyway.
 */
export function fingerprint(found: readonly Stats[]): string {
  return found.map(({ dev, ino, size, mtimeMs, ctimeMs }) => [dev, ino, size, mtimeMs, ctimeMs].join(":")).join();
}

/** Whether the file was last written long enough ago. */
export function isSettled(found: readonly Stats[]): boolean {
  return found.every(({ mtimeMs, ctimeMs }) => Date.now() - Math.max(mtimeMs, ctimeMs) > SETTLED_MS);
}

/** A file's state, or a directory's with the states of its relevant files. @throws when there is nothing */
export async function statsOf(path: string): Promise<readonly Stats[]> {
  const found = await stat(path);
  return found.isDirectory() ? await peftStats(path) : [found];
}

/**
 * The same state by the blocking call, which takes a quarter of the processor time; undefined where the file is missing
 * or unreadable. Used at the start of a server, which answers no requests yet.
 */
export async function statsWaitedFor(path: string): Promise<readonly Stats[] | undefined> {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isDirectory() === true ? await peftStats(path) : found && [found];
  } catch {
    return undefined; // the fault is reported when the file is examined alone
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
