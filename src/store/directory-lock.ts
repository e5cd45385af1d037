/**
 * Allows one server for each data directory. A file names the owner, and stays fresh as long as the owner lives. A
 * killed process's lock blocks nobody. If the owner is on the same machine, its process is looked up. If it is on
 * another machine (a shared volume), the file is watched for a while.
 *
 * LMDB would let several processes write. But a server knows only its own holds, so it could remove contents that
 * another server uses.
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../errors.ts";

const FILE = "server.lock";
const TOUCH_MS = 2000;
/** Long enough for two touches by an owner on another machine, with some delay. */
const WATCH_MS = 6000;
/** Number of attempts to take over an abandoned file, which other processes may want too. */
const MAX_TRIES = 5;

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** Differs between two processes that had the same id; "" where the system does not report it. */
  readonly start: string;
  readonly id: string;
}

/**
 * Creates `dir` if it is missing, and locks it for this process until the lock is disposed of.
 * @throws {AppError} usage when another server has the lock, or the directory cannot be written.
 */
export async function lockDirectory(dir: string): Promise<AsyncDisposable> {
  const path = join(dir, FILE);
  const owner: Owner = { pid: process.pid, host: hostname(), start: await startOf(process.pid), id: randomUUID() };
  const own = `${path}.${owner.id}`;
  try {
    await mkdir(dir, { recursive: true });
    await writeFile(own, JSON.stringify(owner));
    await take(dir, path, own);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError("usage", `The data directory ${dir} cannot be used: ${(error as Error).message}.`, {
      cause: error,
    });
  } finally {
    await rm(own, { force: true }).catch(() => {}); // if the lock file could not be created
  }
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), TOUCH_MS);
  touch.unref();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(touch);
      if ((await readFile(path, "utf8").catch(() => "")) === JSON.stringify(owner)) await rm(path, { force: true });
    },
  };
}

async function take(dir: string, path: string, own: string): Promise<void> {
  for (let i = 0; i < MAX_TRIES; i++) {
    const isTaken = await link(own, path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
        return false;
      },
    );
    if (isTaken) return;
    const found = await readFile(path, "utf8").catch(() => null);
    if (found === null) continue; // removed just now
    const owner = parseOwner(found);
    if (owner !== null && (await isAlive(path, owner))) throw inUse(dir, owner);
    await removeAbandoned(dir, path, found);
  }
  throw inUse(dir, null);
}

/** Removes the lock file that was found, unless another process has meanwhile put its own in its place. */
async function removeAbandoned(dir: string, path: string, found: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await rename(path, aside).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  const moved = await readFile(aside, "utf8").catch(() => found);
  if (moved !== found) {
    await link(aside, path).catch(() => {});
    await rm(aside, { force: true });
    throw inUse(dir, parseOwner(moved));
  }
  await rm(aside, { force: true });
}

function inUse(dir: string, owner: Owner | null): AppError {
  const who = owner === null ? "another server" : `another server (process ${owner.pid} on ${owner.host})`;
  return new AppError("usage", `The data directory ${dir} is in use by ${who}. Stop it, or choose another --data.`);
}

async function isAlive(path: string, { pid, host, start }: Owner): Promise<boolean> {
  if (host === hostname()) {
    if (pid === process.pid && start !== (await startOf(pid))) return false;
    return isRunning(pid) && start === (await startOf(pid));
  }
  const touchedAt = async (): Promise<number> => (await stat(path).catch(() => null))?.mtimeMs ?? NaN;
  const before = await touchedAt();
  await sleep(WATCH_MS);
  return (await touchedAt()) !== before;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it is somebody else's
  }
}

/**
 * Start time of a process, as Linux counts it from boot, with the boot's id; "" elsewhere or where there is no such
 * process.
 */
async function startOf(pid: number): Promise<string> {
  try {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may contain anything. The start time is the 22nd field, the 20th after the name.
    return `${boot} ${text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? ""}`;
  } catch {
    return "";
  }
}

function parseOwner(text: string): Owner | null {
  try {
    const { pid, host, start, id } = JSON.parse(text) as Partial<Record<keyof Owner, unknown>>;
    const isOwner = typeof host === "string" && typeof start === "string" && typeof id === "string";
    return isOwner && Number.isSafeInteger(pid) && (pid as number) > 0 ? { pid: pid as number, host, start, id } : null;
  } catch {
    return null; // the owner was killed while it wrote the file
  }
}
