/**
 * SHA-256 of large files, noted beside the bases that were built from them. A model of some GB takes seconds to read,
 * and its base may be known. A note is valid for the same file with the same size and times: the time of the last
 * change (ctime) cannot be set by a program that changes a file.
 */
import { createHash } from "node:crypto";
import { createReadStream, type BigIntStats } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { replaceFile } from "../../replace-file.ts";

/** Smaller files are read each time. */
const NOTED_BYTES = 2n ** 20n;
/** A change that follows another this soon may leave the time as it is, so nothing is noted. */
const CLOCK_STEP_MS = 2000;
/** In the cache directory. */
const FOLDER = "digests";

/** SHA-256 of a file, from its note if it has one. @param cacheDir where notes are kept */
export async function fileDigest(path: string, cacheDir: string): Promise<Buffer> {
  const startedAt = Date.now();
  const before = await stat(path, { bigint: true });
  if (before.size < NOTED_BYTES) return await read(path);
  const note = join(cacheDir, FOLDER, `${before.dev}-${before.ino}`);
  const known = await noted(note, before);
  if (known !== null) return known;
  const digest = await read(path);
  const after = await stat(path, { bigint: true });
  const isSettled = startedAt - Number(after.ctimeMs) > CLOCK_STEP_MS;
  if (isSettled && textOf(before) === textOf(after)) await keep(note, `${textOf(after)} ${digest.toString("hex")}`);
  return digest;
}

const textOf = ({ size, mtimeNs, ctimeNs }: BigIntStats): string => `${size} ${mtimeNs} ${ctimeNs}`;

async function read(path: string): Promise<Buffer> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest();
}

/** null: there is no note, it is about an earlier content, or it is damaged. */
async function noted(note: string, now: BigIntStats): Promise<Buffer | null> {
  const text = await readFile(note, "utf8").catch(() => "");
  const [start, digest] = [text.slice(0, -65), text.slice(-64)];
  return start === textOf(now) && /^[0-9a-f]{64}$/.test(digest) ? Buffer.from(digest, "hex") : null;
}

/** A cache that cannot be written, as on a read-only disk, costs only the time to read the file at each start. */
async function keep(note: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(note), { recursive: true });
    await replaceFile(note, text, { isSynced: false });
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["EROFS", "EACCES", "EPERM", "ENOSPC"].includes(code)) throw error;
  }
}
