/**
 * LMDB environments as this program opens them for writing: with what keeps a full disk from ending the process. Knows
 * no tables.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type RootDatabase, type RootDatabaseOptionsWithPath, open } from "lmdb";
import { AppError } from "../../errors.ts";
import { freeBytes } from "./disk-room.ts";

/** Free bytes of the disk with which a new file can be begun. */
const NEW_FILE_BYTES = 1024 * 1024;

/**
 * Without noSubdir, LMDB derives it from a dot in the name. A batch of an event turn has a promise that nobody can
 * handle: on a full disk its rejection would end the process.
 */
export const SETTINGS = { noSubdir: false, eventTurnBatching: false } satisfies Partial<RootDatabaseOptionsWithPath>;

/**
 * Opens the environment in `dir`, and makes both if they are not there.
 * @throws {AppError} usage: its disk has no room
 */
export function openEnvironment(dir: string, maxDbs: number): RootDatabase {
  mkdirSync(dir, { recursive: true });
  assertRoomForNew(dir);
  return open({ ...SETTINGS, path: dir, maxDbs });
}

/**
 * Looks for room before lmdb makes a new environment: on a disk that is nearly full, it would end the process.
 * @throws {AppError} usage: there is not enough
 */
function assertRoomForNew(dir: string): void {
  const path = join(dir, "data.mdb");
  if (existsSync(path) && statSync(path).size > 0) return;
  const free = freeBytes(dir);
  if (free >= NEW_FILE_BYTES) return;
  throw new AppError(
    "usage",
    `The data directory ${dir} cannot be used: ${free} bytes of its disk are free, and a new store needs ${NEW_FILE_BYTES}. Make room, or choose another --data.`,
  );
}
