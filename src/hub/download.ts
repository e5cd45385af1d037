/**
 * Downloads one file into the cache. When a download is interrupted, the received bytes stay, and the next download
 * continues from there. A file gets its place only if its hash is right.
 */
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AppError } from "../errors.ts";
import type { HubName } from "./hub-name.ts";
import { hubFetch, passingFault, SILENCE_MS, withRetries } from "./hub-request.ts";
import type { HubSettings } from "./hub-settings.ts";
import { contentHash, contentPath, type HubFile } from "./repository.ts";

export interface Download {
  readonly name: HubName;
  readonly settings: HubSettings;
  readonly commit: string;
  readonly file: HubFile;
  /** Place of the complete content. */
  readonly blobPath: string;
  /** Called with the number of bytes that have arrived. */
  readonly onBytes: (bytes: number) => void;
}

/** @throws {AppError} usage: the Hub does not answer or refuses, the content is wrong, the disk is full. */
export async function download(job: Download): Promise<void> {
  await mkdir(dirname(job.blobPath), { recursive: true });
  const path = await partialPath(job.blobPath);
  const before = (await stat(path).catch(() => null))?.size ?? 0;
  await fill(job, path);
  if (before > 0 && !(await hasHash(path, job.file))) {
    await rm(path); // the remains of an earlier download were damaged
    await fill(job, path);
  }
  if (!(await hasHash(path, job.file))) {
    await rm(path);
    throw new AppError(
      "usage",
      `${job.file.path} of ${job.name.repo} is damaged: its hash is not ${job.file.hash}. Try again.`,
    );
  }
  await rename(path, job.blobPath);
}

/**
 * The file that a download writes to. Its name has this process's id, so that two processes never write into one. The
 * remains of a process that has ended are reused.
 */
async function partialPath(blobPath: string): Promise<string> {
  const dir = dirname(blobPath);
  const prefix = `${basename(blobPath)}.${hostname()}-`;
  const path = join(dir, `${prefix}${process.pid}.incomplete`);
  for (const name of await readdir(dir)) {
    const pid = name.startsWith(prefix) ? /^(\d+)\.incomplete$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid === undefined || isAlive(Number(pid))) continue;
    const isTaken = await rename(join(dir, name), path).then(
      () => true,
      () => false, // another process was first
    );
    if (isTaken) break;
  }
  return path;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function fill(job: Download, path: string): Promise<void> {
  let hasAdvanced = false;
  const onAdvance = (): void => void (hasAdvanced = true);
  const attempt = async (): Promise<void> => {
    hasAdvanced = false;
    await appendRest(job, path, onAdvance);
  };
  await withRetries(job.name, job.settings, attempt, () => hasAdvanced);
}

/** Downloads the missing bytes and appends them to `path`. */
async function appendRest(job: Download, path: string, onAdvance: () => void): Promise<void> {
  const { name, settings, commit, file } = job;
  await using handle = await open(path, "a");
  let size = (await handle.stat()).size;
  if (size > file.size) size = await emptied(handle);
  if (size > 0 && size === file.size) return job.onBytes(size);
  const abort = new AbortController();
  const silence = setTimeout(() => abort.abort(new Error(`no byte for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  try {
    const url = contentPath(name, commit, file);
    const range: Record<string, string> = size > 0 ? { range: `bytes=${size}-` } : {};
    const headers = { "accept-encoding": "identity", ...range };
    const response = await hubFetch(name, settings, url, { headers, signal: abort.signal });
    if (size > 0 && !isRestOf(response, size)) size = await emptied(handle);
    if (response.status === 416) throw passingFault(new Error("the server has no such range"));
    for await (const bytes of response.body ?? []) {
      silence.refresh();
      size += bytes.byteLength;
      if (size > file.size) throw passingFault(new Error(`more than the ${file.size} bytes of ${file.path}`));
      await append(handle, bytes, path);
      onAdvance();
      job.onBytes(size);
    }
  } catch (error) {
    throw error instanceof AppError ? error : passingFault(error);
  } finally {
    clearTimeout(silence);
  }
  if (size < file.size) throw passingFault(new Error(`the connection ended after ${size} of ${file.size} bytes`));
}

/** A server may send the whole file although only the rest was requested. */
const isRestOf = ({ status, headers }: Response, size: number): boolean =>
  status === 206 && headers.get("content-range")?.startsWith(`bytes ${size}-`) === true;

async function emptied(handle: FileHandle): Promise<0> {
  await handle.truncate(0);
  return 0;
}

async function append(handle: FileHandle, bytes: Uint8Array, path: string): Promise<void> {
  try {
    await handle.appendFile(bytes);
  } catch (error) {
    throw new AppError(
      "usage",
      `${path} cannot be written: ${(error as Error).message}. The downloaded part is kept.`,
      {
        cause: error,
      },
    );
  }
}

/** SHA-256 of the bytes, or git's SHA-1 of a blob. */
async function hasHash(path: string, file: HubFile): Promise<boolean> {
  const content = contentHash(file, file.size);
  await pipeline(createReadStream(path), content);
  return content.digest("hex") === file.hash;
}
