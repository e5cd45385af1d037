/**
 * The watched directory: `<name>.mosara` files and PEFT directories become adapters at start and whenever they change.
 * A change made through the store (PUT, DELETE) holds until the file changes; a file that cannot be used changes nothing.
 * Knows nothing of HTTP. Source: docs/how-to/watch-a-directory.md.
 */
import { type FSWatcher, type Stats, statSync, watch } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DEFAULT_MAX_ADAPTER_BYTES, type AdapterFileLimits, generationOf } from "../adapter/adapter-file.ts";
import type { PeftFiles } from "../adapter/peft.ts";
import { AppError } from "../errors.ts";
import { assertAdapterName } from "./adapter-record.ts";
import type { AdapterStore, Precondition, PutOutcome, PutResult } from "./adapter-store.ts";
import {
  isPeftDirectory,
  nameOfFile,
  peftStats,
  readAdapterFile,
  readPeftFiles,
  resolveInside,
} from "./directory-files.ts";

/** What happened to a file; nothing is told of files that have not changed. */
export interface DirectoryEvent {
  readonly path: string;
  /** removed: the name went with the file; kept: the file went, the name points to something newer; failed: see `error`. */
  readonly outcome: PutOutcome | "removed" | "kept" | "failed";
  readonly error?: Error;
}

/** The bytes of a `.mosara` file out of a PEFT adapter, for the base that is served. @throws AppError */
export type ConvertPeft = (files: PeftFiles) => Uint8Array;

export interface AdapterDirectoryOptions extends AdapterFileLimits {
  /** Without it, PEFT directories are refused. */
  readonly convertPeft?: ConvertPeft;
  readonly onEvent: (event: DirectoryEvent) => void;
  /** Names no file may take, such as the served model's. */
  readonly reservedNames?: ReadonlySet<string>;
  /** A file is read when it has been quiet for this long (default 100): editors write in several steps. */
  readonly debounceMs?: number;
  /**
   * Pause between looks at the whole directory (default 10,000), for file systems that tell of no changes; where a look takes
   * long, the pause is many times longer.
   */
  readonly rescanMs?: number;
}

export interface AdapterDirectory extends AsyncDisposable {
  /**
   * The adapter at a path as the bytes of a `.mosara` file.
   * @param path as for `importFile`
   * @throws AppError as `importFile`, and what is wrong with a PEFT adapter.
   */
  read(path: string): Promise<Uint8Array>;
  /**
   * Imports one file or PEFT directory now, whatever was imported from it before, under `name` (default: its own).
   * @param path absolute or relative to the directory; has to lie inside it, links followed.
   * @throws AppError invalid_request (outside, no file), adapter_not_found (no such file), adapter_invalid, adapter_too_large, precondition_failed.
   */
  importFile(
    path: string,
    options?: { readonly name?: string; readonly precondition?: Precondition },
  ): Promise<PutResult>;
  /** Looks at every file once; resolves when all that has changed is in the store. */
  scan(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Imports everything in `dir`, then watches it until it is closed.
 * @throws AppError usage when `dir` is no directory.
 */
export async function openAdapterDirectory(
  dir: string,
  store: AdapterStore,
  options: AdapterDirectoryOptions,
): Promise<AdapterDirectory> {
  const root = await realpath(dir).catch(() => undefined);
  if (root === undefined || !(await stat(root)).isDirectory())
    throw new AppError("usage", `The adapters directory ${dir} is not a directory. Make it, or name another one.`);
  const directory = new WatchedDirectory(root, store, options);
  directory.watch(); // before the first scan, so that no change falls between the two
  await directory.scan();
  directory.scheduleRescan();
  return directory;
}

/** Most bytes and files that one step of a scan has in memory; together they share one write to disk. */
const MAX_CHUNK_BYTES = 64 * 2 ** 20;
const MAX_CHUNK_FILES = 256;
/** Files whose state is asked for at once. */
const STATS_AT_ONCE = 64;
/** The pause between two looks is at least so many times what a look takes. */
const PAUSE_FACTOR = 20;
/** A file may be written again within a tick of the file system's clock: only an older state is remembered beyond this process. */
const SETTLED_MS = 2000;

class WatchedDirectory implements AdapterDirectory {
  readonly #root: string;
  readonly #store: AdapterStore;
  readonly #options: AdapterDirectoryOptions;
  readonly #debounceMs: number;
  readonly #maxBytes: number;
  #watcher: FSWatcher | undefined;
  #rescanTimer: NodeJS.Timeout | undefined;
  /** Files that changed a moment ago, by file name. */
  readonly #quietTimers = new Map<string, NodeJS.Timeout>();
  /** States of files already looked at, so that a scan reads only what has changed; those of imported files are in the store. */
  readonly #seen = new Map<string, string>();
  /** The last work on each path; work on one path never overlaps. */
  readonly #work = new Map<string, Promise<unknown>>();
  #isClosed = false;
  #isFirstScan = true;
  #lastScanMs = 0;

  constructor(root: string, store: AdapterStore, options: AdapterDirectoryOptions) {
    this.#root = root;
    this.#store = store;
    this.#options = options;
    this.#debounceMs = options.debounceMs ?? 100;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_ADAPTER_BYTES;
  }

  watch(): void {
    const report = (error: unknown): void => this.#report(this.#root, "failed", error);
    try {
      this.#watcher = watch(this.#root, (_, fileName) => this.#whenQuiet(fileName ?? ""));
      this.#watcher.on("error", report);
    } catch (error) {
      report(error); // rescans still find what changes
    }
  }

  scheduleRescan(): void {
    if (this.#isClosed) return;
    const rescan = () => void this.scan().then(() => this.scheduleRescan());
    const pauseMs = Math.max(this.#options.rescanMs ?? 10_000, PAUSE_FACTOR * this.#lastScanMs);
    this.#rescanTimer = setTimeout(rescan, pauseMs).unref();
  }

  scan(): Promise<void> {
    return this.#inTurn(this.#root, async () => {
      const startedAt = performance.now();
      await this.#scan();
      this.#isFirstScan = false;
      this.#lastScanMs = performance.now() - startedAt;
    });
  }

  async #scan(): Promise<void> {
    let fileNames: string[];
    try {
      fileNames = (await readdir(this.#root)).filter((fileName) => !fileName.startsWith(".")).sort();
    } catch (error) {
      // The whole directory is out of reach: no reason to think that every file was removed.
      return this.#report(this.#root, "failed", error);
    }
    const imported = await this.#imported();
    const present = new Set(fileNames);
    const missing = [...imported.keys()].filter((fileName) => !present.has(fileName));
    // A file that is replaced may be away for a moment, hence the pause before its name goes.
    if (missing.length > 0) await new Promise((resolve) => setTimeout(resolve, this.#debounceMs));
    let chunk: Promise<void>[] = [];
    let chunkBytes = 0;
    for await (const files of this.#states([...missing, ...fileNames]))
      for (const { fileName, path, found } of files) {
        if (this.#isClosed) return void (await Promise.all(chunk));
        if (found && this.#isKnown(path, found, imported.get(fileName))) continue;
        chunk.push(this.#look(path));
        chunkBytes += Math.min(found?.reduce((sum, { size }) => sum + size, 0) ?? 0, this.#maxBytes);
        if (chunk.length < MAX_CHUNK_FILES && chunkBytes < MAX_CHUNK_BYTES) continue;
        await Promise.all(chunk);
        [chunk, chunkBytes] = [[], 0];
      }
    await Promise.all(chunk);
  }

  /** Names of files here that were imported, with the state that each was in. Read in one go: asking for each takes three times as long. */
  async #imported(): Promise<Map<string, string | undefined>> {
    const states = new Map<string, string | undefined>();
    const prefix = this.#root.endsWith(sep) ? this.#root : this.#root + sep;
    for (let after: string | null = ""; after !== null; await nextTurn()) {
      const { imported, next } = this.#store.imports(after);
      for (const { path, state } of imported)
        if (path.startsWith(prefix) && !path.includes(sep, prefix.length)) states.set(path.slice(prefix.length), state);
      after = next;
    }
    return states;
  }

  /** Every file with its state, some at a time; undefined where there is none. */
  async *#states(fileNames: readonly string[]) {
    const look = this.#isFirstScan ? statsWaitedFor : (path: string) => statsOf(path).catch(() => undefined);
    for (let first = 0; first < fileNames.length; first += STATS_AT_ONCE) {
      const some = fileNames.slice(first, first + STATS_AT_ONCE);
      const paths = some.map((fileName) => join(this.#root, fileName));
      const states = await Promise.all(paths.map((path) => look(path)));
      yield paths.map((path, i) => ({ fileName: some[i] ?? "", path, found: states[i] }));
      await nextTurn();
    }
  }

  /** Whether a file is as it was when it was looked at last, by this process or, in the state `imported`, by any. */
  #isKnown(path: string, found: readonly Stats[], imported: string | undefined): boolean {
    const state = fingerprint(found);
    if (this.#seen.get(path) === state) return true;
    const isReserved = this.#options.reservedNames?.has(nameOfFile(path) ?? "") === true; // since that import, perhaps
    return !isReserved && imported === state;
  }

  async importFile(
    path: string,
    options: { readonly name?: string; readonly precondition?: Precondition } = {},
  ): Promise<PutResult> {
    const inside = await resolveInside(this.#root, path);
    const fileName = (await isDirectory(inside.realPath)) ? basename(inside.path) : nameOfFile(inside.path);
    const ownName = dirname(inside.path) === this.#root ? fileName : undefined;
    const name = options.name ?? fileName ?? "";
    this.#assertFreeName(name);
    return this.#inTurn(inside.path, async () => {
      const bytes = await this.#readBytes(inside.realPath);
      // Under another name it is like a PUT: the file still owns its own name alone.
      return this.#store.put(name, bytes, options.precondition, name === ownName ? { path: inside.path } : undefined);
    });
  }

  async read(path: string): Promise<Uint8Array> {
    return await this.#readBytes((await resolveInside(this.#root, path)).realPath);
  }

  async #readBytes(realPath: string): Promise<Uint8Array> {
    if (!(await isDirectory(realPath))) return await readAdapterFile(realPath, this.#maxBytes);
    const { convertPeft } = this.#options;
    if (!convertPeft || !(await isPeftDirectory(realPath)))
      throw new AppError(
        "invalid_request",
        `${realPath} is ${convertPeft ? "no PEFT adapter (it has no adapter_config.json)" : "a directory, and only .mosara files are read here"}.`,
      );
    return convertPeft(await readPeftFiles(this.#root, realPath, this.#maxBytes));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watcher?.close();
    clearTimeout(this.#rescanTimer);
    for (const timer of this.#quietTimers.values()) clearTimeout(timer);
    while (this.#work.size > 0) await Promise.allSettled(this.#work.values());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Looks at a file, or at all when its name is unknown or may stand for several, once nothing has happened to it for a while. */
  #whenQuiet(fileName: string): void {
    clearTimeout(this.#quietTimers.get(fileName));
    const look = (): void => {
      this.#quietTimers.delete(fileName);
      const path = join(this.#root, fileName);
      void (nameOfFile(path) === undefined || fileName.startsWith(".") ? this.scan() : this.#look(path));
    };
    this.#quietTimers.set(fileName, setTimeout(look, this.#debounceMs));
  }

  /** Brings the store in line with one path; whatever goes wrong is reported, never thrown. */
  async #look(path: string): Promise<void> {
    try {
      const outcome = await this.#inTurn(path, () => this.#bringInLine(path));
      if (outcome) this.#report(path, outcome);
    } catch (error) {
      // What is wrong with the file stays wrong until it changes; anything else is tried again.
      if (!(error instanceof AppError)) this.#seen.delete(path);
      this.#report(path, "failed", error);
    }
  }

  async #bringInLine(path: string): Promise<DirectoryEvent["outcome"] | undefined> {
    const found = await statsOf(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    if (!found) return this.#forget(path);
    const state = fingerprint(found); // before reading: a write after this line is seen by the next scan
    this.#seen.set(path, state);
    const isPeft = found[0]?.isDirectory() === true;
    // A directory that was one before and is half-way through being replaced is told of, not taken for gone.
    if (isPeft && !(await isPeftDirectory(path)) && !this.#store.importRecord(path)) return undefined;
    const name = isPeft ? basename(path) : nameOfFile(path);
    if (name === undefined) return undefined;
    this.#assertFreeName(name);
    const { realPath } = await resolveInside(this.#root, path);
    const bytes = await this.#readBytes(realPath);
    // What is made of a PEFT adapter depends on the base as well, which may be another one next time.
    const settled = isSettled(found) && !isPeft ? { state } : {};
    const before = this.#store.importRecord(path);
    if (before?.generation !== generationOf(bytes)) {
      const { outcome } = await this.#store.put(name, bytes, {}, { path, ...settled });
      this.#forgetIfKept(path, settled);
      return outcome;
    }
    const { generation } = before;
    if (before.state !== settled.state) await this.#store.setImportRecord(path, { generation, name, ...settled });
    this.#forgetIfKept(path, settled);
    return undefined;
  }

  /** A state that the store has is not kept here as well. */
  #forgetIfKept(path: string, { state }: { readonly state?: string }): void {
    if (state !== undefined && this.#seen.get(path) === state) this.#seen.delete(path);
  }

  async #forget(path: string): Promise<DirectoryEvent["outcome"] | undefined> {
    this.#seen.delete(path);
    const record = this.#store.importRecord(path);
    if (!record) return undefined;
    let outcome: "removed" | "kept" = "removed";
    try {
      await this.#store.delete(record.name, { ifMatch: record.generation });
    } catch (error) {
      const isOvertaken = error instanceof AppError && /^(precondition_failed|adapter_not_found)$/.test(error.code);
      if (!isOvertaken) throw error;
      outcome = "kept";
    }
    await this.#store.removeImportRecord(path);
    return outcome;
  }

  #assertFreeName(name: string): void {
    assertAdapterName(name);
    if (this.#options.reservedNames?.has(name))
      throw new AppError("invalid_request", `"${name}" is the served model's own name. Give the adapter another one.`);
  }

  async #inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const before = this.#work.get(path);
    const mine = (async () => {
      await before?.catch(() => undefined); // its own caller hears of that
      return work();
    })();
    this.#work.set(path, mine);
    try {
      return await mine;
    } finally {
      if (this.#work.get(path) === mine) this.#work.delete(path);
    }
  }

  #report(path: string, outcome: DirectoryEvent["outcome"], error?: unknown): void {
    this.#options.onEvent({ path, outcome, ...(error === undefined ? {} : { error: error as Error }) });
  }
}

/** Differs whenever a file was written, replaced or pointed elsewhere, as far as the file system's clock tells; told of a change, we read. */
function fingerprint(found: readonly Stats[]): string {
  return found.map(({ dev, ino, size, mtimeMs, ctimeMs }) => [dev, ino, size, mtimeMs, ctimeMs].join(":")).join();
}

/** Whether nothing of it was written a moment ago. */
function isSettled(found: readonly Stats[]): boolean {
  return found.every(({ mtimeMs, ctimeMs }) => Date.now() - Math.max(mtimeMs, ctimeMs) > SETTLED_MS);
}

/** A file's state, or a directory's with that of the files that count in it. @throws when there is nothing */
async function statsOf(path: string): Promise<readonly Stats[]> {
  const found = await stat(path);
  return found.isDirectory() ? await peftStats(path) : [found];
}

/**
 * The same, undefined when there is nothing or it cannot be seen, by the call that blocks, for a quarter of the processor time: at the start
 * of a server, which answers nobody yet.
 */
async function statsWaitedFor(path: string): Promise<readonly Stats[] | undefined> {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isDirectory() === true ? await peftStats(path) : found && [found];
  } catch {
    return undefined; // told of when it is looked at by itself
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
