/**
 * The watched directory. `<name>.mosara` files and PEFT directories become adapters at start and whenever they change.
 * A change made through the store (PUT, DELETE) stays in effect until the file changes. A file that cannot be used
 * changes nothing. Knows nothing of HTTP. Source: docs/how-to/adapters/watch-a-directory.md.
 */
import type { Stats } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DEFAULT_MAX_ADAPTER_BYTES, generationOf } from "../../adapter/adapter-file.ts";
import { AppError } from "../../errors.ts";
import { assertAdapterName } from "../adapter-record.ts";
import type { AdapterNames, PutResult } from "../adapter-names.ts";
import type { AdapterStore } from "../adapter-store.ts";
import type { Precondition } from "../precondition.ts";
import { isPeftDirectory, nameOfFile, readAdapterFile, readPeftFiles, resolveInside } from "./directory-files.ts";
import type { AdapterDirectoryOptions, DirectoryEvent } from "./directory-options.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { fingerprint, isDirectory, isSettled, statsOf, statsWaitedFor } from "./file-state.ts";
import { assertNotForeign } from "./foreign-entry.ts";
import { KeyedQueue } from "./keyed-queue.ts";
import { SHARED } from "../tenant.ts";

/**
 * Imports everything in `dir`, then watches it until it is closed.
 * @throws AppError usage when `dir` is not a directory.
 */
export async function openAdapterDirectory(
  dir: string,
  store: AdapterStore,
  options: AdapterDirectoryOptions,
): Promise<AdapterDirectory> {
  const root = await realpath(dir).catch(() => undefined);
  if (root === undefined || !(await stat(root)).isDirectory())
    throw new AppError(
      "usage",
      `The adapters directory ${dir} is not a directory. Create it, or name another directory.`,
    );
  const directory = new AdapterDirectory(root, store, options);
  await directory.start();
  return directory;
}

/** Maximum bytes and files that one step of a scan has in memory. They share one write to disk. */
const MAX_CHUNK_BYTES = 64 * 2 ** 20;
const MAX_CHUNK_FILES = 256;
/** Number of files whose state is read at the same time. */
const STATS_AT_ONCE = 64;

type Change = Pick<DirectoryEvent, "outcome" | "from">;

export class AdapterDirectory implements AsyncDisposable {
  readonly #root: string;
  readonly #imports: AdapterStore["imports"];
  /** Everything in the directory is shared by all tenants. */
  readonly #names: AdapterNames;
  readonly #options: AdapterDirectoryOptions;
  readonly #debounceMs: number;
  readonly #maxBytes: number;
  readonly #watch: DirectoryWatch;
  /**
   * States of files already examined, so that a scan reads only changed files. The states of imported files are in the
   * store.
   */
  readonly #seen = new Map<string, string>();
  /** Pieces of work on one path never overlap. */
  readonly #work = new KeyedQueue();
  #isClosed = false;
  #isFirstScan = true;

  /** For `openAdapterDirectory`. */
  constructor(root: string, store: AdapterStore, options: AdapterDirectoryOptions) {
    this.#root = root;
    this.#imports = store.imports;
    this.#names = store.namesOf(SHARED);
    this.#options = options;
    this.#debounceMs = options.debounceMs ?? 100;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_ADAPTER_BYTES;
    this.#watch = new DirectoryWatch(root, {
      debounceMs: this.#debounceMs,
      rescanMs: options.rescanMs ?? 10_000,
      look: (fileName) => this.#look(join(root, fileName)),
      scan: () => this.scan(),
      onError: (error) => this.#report(root, "failed", { error }),
    });
  }

  /** Watches first, then examines every file, so that no change falls between the two. */
  async start(): Promise<void> {
    this.#watch.start();
    await this.#watch.rescan();
  }

  /** Examines every file once. Resolves when all changes are in the store. */
  scan(): Promise<void> {
    return this.#work.run(this.#root, async () => {
      await this.#scan();
      this.#isFirstScan = false;
    });
  }

  async #scan(): Promise<void> {
    let fileNames: string[];
    try {
      fileNames = (await readdir(this.#root)).filter((fileName) => !fileName.startsWith(".")).sort();
    } catch (error) {
      // The whole directory is unreachable. That does not mean that every file was removed.
      return this.#report(this.#root, "failed", { error });
    }
    const imported = await this.#imported();
    const present = new Set(fileNames);
    const missing = [...imported.keys()].filter((fileName) => !present.has(fileName));
    // A file that is being replaced may be missing for a moment, so its name is removed only after a pause.
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

  /**
   * Names of files here that were imported, with the state of each at that time. They are read in one pass; reading
   * each alone takes three times as long.
   */
  async #imported(): Promise<Map<string, string | undefined>> {
    const states = new Map<string, string | undefined>();
    const prefix = this.#root.endsWith(sep) ? this.#root : this.#root + sep;
    for (let after: string | null = ""; after !== null; await nextTurn()) {
      const { imported, next } = this.#imports.page(after);
      for (const { path, state } of imported)
        if (path.startsWith(prefix) && !path.includes(sep, prefix.length)) states.set(path.slice(prefix.length), state);
      after = next;
    }
    return states;
  }

  /** Every file with its state, several at a time; undefined if the file no longer exists. */
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

  /** Whether a file is unchanged since this process, or (in the state `imported`) any process, examined it. */
  #isKnown(path: string, found: readonly Stats[], imported: string | undefined): boolean {
    const state = fingerprint(found);
    if (this.#seen.get(path) === state) return true;
    // The name may have been reserved since that import.
    const isReserved = this.#options.reservedNames?.has(nameOfFile(path) ?? "") === true;
    return !isReserved && imported === state;
  }

  /**
   * Imports one file or PEFT directory now, even if it is unchanged. It gets `name` (default: its own name).
   * @param path absolute or relative to the directory; must lie inside it, links followed.
   * @throws AppError invalid_request (outside, no file), adapter_not_found (no such file), adapter_invalid,
   * adapter_too_large, precondition_failed.
   */
  async importFile(
    path: string,
    options: { readonly name?: string; readonly precondition?: Precondition } = {},
  ): Promise<PutResult> {
    const inside = await resolveInside(this.#root, path);
    const fileName = (await isDirectory(inside.realPath)) ? basename(inside.path) : nameOfFile(inside.path);
    const ownName = dirname(inside.path) === this.#root ? fileName : undefined;
    const name = options.name ?? fileName ?? "";
    this.#assertFreeName(name);
    return this.#work.run(inside.path, async () => {
      const bytes = await this.#readBytes(inside.realPath);
      // Under another name this is like a PUT. The file still owns only its own name.
      return this.#names.put(name, bytes, options.precondition, name === ownName ? { path: inside.path } : undefined);
    });
  }

  /**
   * The adapter at a path as the bytes of a `.mosara` file.
   * @throws AppError as `importFile`, and the faults of a PEFT adapter
   */
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
    return await convertPeft(await readPeftFiles(this.#root, realPath, this.#maxBytes));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watch.close();
    await this.#work.settle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Updates the store from one path. Every failure is reported, never thrown. */
  async #look(path: string): Promise<void> {
    try {
      const change = await this.#work.run(path, () => this.#bringInLine(path));
      if (change) this.#report(path, change.outcome, { from: change.from });
    } catch (error) {
      // A fault of the file itself lasts until the file changes. After any other failure the file is tried again.
      if (!(error instanceof AppError)) this.#seen.delete(path);
      this.#report(path, "failed", { error });
    }
  }

  async #bringInLine(path: string): Promise<Change | undefined> {
    const found = await statsOf(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    if (!found) return this.#forget(path);
    const state = fingerprint(found); // before reading, so that the next scan sees a later write
    this.#seen.set(path, state);
    const isPeft = found[0]?.isDirectory() === true;
    // A known directory that is half-way through being replaced is reported as failed, not as removed.
    const isOther = isPeft && !(await isPeftDirectory(path)) && !this.#imports.get(path);
    const name = isPeft ? basename(path) : nameOfFile(path);
    if (isOther || name === undefined) return await assertNotForeign(path, isPeft);
    this.#assertFreeName(name);
    const { realPath } = await resolveInside(this.#root, path);
    const bytes = await this.#readBytes(realPath);
    // The result of converting a PEFT adapter also depends on the base, which may be different next time.
    const settled = isSettled(found) && !isPeft ? { state } : {};
    const before = this.#imports.get(path);
    if (before?.generation !== generationOf(bytes)) {
      const { outcome, replaced } = await this.#names.put(name, bytes, {}, { path, ...settled });
      this.#forgetIfKept(path, settled);
      return { outcome, from: replaced };
    }
    const { generation } = before;
    if (before.state !== settled.state) await this.#imports.set(path, { generation, name, ...settled });
    this.#forgetIfKept(path, settled);
    return undefined;
  }

  /** A state that is in the store is not also kept here. */
  #forgetIfKept(path: string, { state }: { readonly state?: string }): void {
    if (state !== undefined && this.#seen.get(path) === state) this.#seen.delete(path);
  }

  async #forget(path: string): Promise<Change | undefined> {
    this.#seen.delete(path);
    const record = this.#imports.get(path);
    if (!record) return undefined;
    let outcome: "removed" | "kept" = "removed";
    try {
      await this.#names.delete(record.name, { ifMatch: record.generation });
    } catch (error) {
      const isOvertaken =
        error instanceof AppError && /^(precondition_failed|adapter_not_found|generation_in_use)$/.test(error.code);
      if (!isOvertaken) throw error;
      outcome = "kept";
    }
    await this.#imports.remove(path);
    return { outcome, from: record.generation };
  }

  #assertFreeName(name: string): void {
    assertAdapterName(name);
    if (this.#options.reservedNames?.has(name))
      throw new AppError("invalid_request", `"${name}" is the served model's own name. Give the adapter another name.`);
  }

  #report(
    path: string,
    outcome: DirectoryEvent["outcome"],
    { from, error }: { readonly from?: string | undefined; readonly error?: unknown },
  ): void {
    const facts = {
      ...(from === undefined ? {} : { from }),
      ...(error === undefined ? {} : { error: error as Error }),
    };
    this.#options.onEvent({ path, outcome, ...facts });
  }
}
