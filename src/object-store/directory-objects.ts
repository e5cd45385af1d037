/**
 * Objects as files below a directory that servers share, such as an NFS mount. A conditional write is decided by one
 * system call: a hard link fails if its name exists. Therefore an object that is written on conditions is a directory
 * of versions (`@1`, `@2`, …), and a writer links the version after the one that it has read. No lock is needed, so a
 * killed server leaves none. Any other object is a file. Source: POSIX, link() and rename().
 */
import { createHash, randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AppError } from "../errors.ts";
import { listFiles } from "./directory-list.ts";
import { isMissing, readVersions, type Versions, versionPath } from "./directory-versions.ts";
import {
  damaged,
  type ObjectStore,
  type ReadOptions,
  readOnly,
  type StoredObject,
  StoreRefusal,
  type WriteCondition,
  type Written,
} from "./object-store.ts";
import { PassingFault, type RequestPolicy } from "./request-policy.ts";
import { Slots } from "./slots.ts";

/** A file at the top of every store. Without it, a directory whose mount is missing would look like an empty store. */
const MARK = "mosara-store.json";
const UPLOADS = ".uploads";
/**
 * A file system that hangs holds a thread for each operation. Node.js has four threads for files, and the server's own
 * database needs some of them.
 */
const MAX_AT_ONCE = 2;
/** Attempts at an object whose version was removed between the list of versions and the reading. */
const MAX_READS = 3;
/** A version stays for an hour. So no number is taken twice, except by a writer that slept for longer than that. */
const KEEP_MS = 3_600_000;
/** A killed server leaves its upload. */
const MAX_UPLOAD_AGE_MS = 86_400_000;

export class DirectoryObjects implements ObjectStore {
  readonly url: string;
  readonly isWritable = true;
  readonly hasQuickLists = false;
  readonly #root: string;
  readonly #policy: RequestPolicy;
  readonly #slots = new Slots(MAX_AT_ONCE);
  #wasFound = false;
  #isCleared = false;

  /** @param url a path */
  constructor(url: string, policy: RequestPolicy) {
    this.url = url;
    this.#root = resolve(url);
    this.#policy = policy;
  }

  async get(key: string, options: ReadOptions): Promise<StoredObject | "absent" | "unchanged"> {
    return await this.#run("get", async () => await this.#get(key, options));
  }

  async put(key: string, bytes: Uint8Array, condition: WriteCondition): Promise<Written> {
    return await this.#run("put", async () => {
      const upload = await this.#upload(bytes);
      try {
        return condition ? await this.#putIf(key, upload, bytes, condition) : await this.#replace(key, upload, bytes);
      } finally {
        await rm(upload, { force: true });
      }
    });
  }

  async remove(key: string): Promise<void> {
    await this.#run("delete", async () => await rm(this.#pathOf(key), { recursive: true, force: true }));
  }

  async list(prefix: string, range: { readonly after?: string | undefined; readonly limit: number }) {
    return await this.#run("list", async () => {
      await this.#find();
      return await listFiles(this.#root, prefix, range);
    });
  }

  /** The first write refuses a file system without hard links. */
  hasConditionalWrites(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async #get(key: string, { etag, maxBytes }: ReadOptions): Promise<StoredObject | "absent" | "unchanged"> {
    const path = this.#pathOf(key);
    for (let reads = 1; ; reads++) {
      const versions = await readVersions(path);
      if (versions === "absent") {
        await this.#find(); // nothing is absent in a store that is not mounted
        return "absent";
      }
      try {
        const bytes = await readWhole(versionPath(path, versions), maxBytes);
        const found = etagOf(versions, bytes);
        return found === etag ? "unchanged" : { bytes, etag: found };
      } catch (error) {
        if (!isMissing(error) || reads === MAX_READS) throw error;
      }
    }
  }

  async #putIf(key: string, upload: string, bytes: Uint8Array, condition: NonNullable<WriteCondition>) {
    const path = this.#pathOf(key);
    const versions = await readVersions(path);
    if (versions === "file") throw damaged(this.url, `${key} is a file, and a directory of versions was expected`);
    const before = versions === "absent" ? null : versions;
    if ("ifNoneMatch" in condition ? before : !before || (await this.#etagAt(path, before)) !== condition.ifMatch)
      return "conflict";
    return await this.#link(path, upload, bytes, before);
  }

  /** Without a condition, the last of two writers wins. */
  async #replace(key: string, upload: string, bytes: Uint8Array): Promise<Written> {
    const path = this.#pathOf(key);
    for (;;) {
      const versions = await readVersions(path);
      if (versions === "file" || versions === "absent") {
        await this.#makeDirectory(dirname(path));
        await rename(upload, path);
        await syncDirectory(dirname(path));
        return { etag: etagOf("file", bytes) };
      }
      const written = await this.#link(path, upload, bytes, versions);
      if (written !== "conflict") return written;
    }
  }

  /** Makes the upload the version after `before`, unless another writer has made one. */
  async #link(path: string, upload: string, bytes: Uint8Array, before: Versions | null): Promise<Written> {
    await this.#makeDirectory(path);
    const version = (before?.latest ?? 0) + 1;
    const after = { latest: version, earlier: [] };
    try {
      await link(upload, versionPath(path, after));
    } catch (error) {
      // A network file system may send a link twice, and the second one finds the first.
      const isOwn = codeOf(error) === "EEXIST" && (await stat(upload)).nlink > 1;
      if (codeOf(error) === "EEXIST" && !isOwn) return "conflict";
      if (!isOwn) throw error;
    }
    await syncDirectory(path);
    await this.#removeOld(path, upload, before);
    return { etag: etagOf(after, bytes) };
  }

  /** Ages are differences of the file server's times, so a wrong clock here does not matter. */
  async #removeOld(path: string, upload: string, before: Versions | null): Promise<void> {
    const now = (await stat(upload)).mtimeMs;
    for (const latest of before?.earlier ?? []) {
      const old = versionPath(path, { latest, earlier: [] });
      const found = await stat(old).catch(ignoreMissing);
      if (found && now - found.mtimeMs < KEEP_MS) return; // the others are younger
      await rm(old, { force: true });
    }
  }

  async #etagAt(path: string, versions: Versions): Promise<string> {
    return etagOf(versions, await readFile(versionPath(path, versions)));
  }

  /** The bytes in a file of their own, on the disk. */
  async #upload(bytes: Uint8Array): Promise<string> {
    await this.#find();
    const uploads = join(this.#root, UPLOADS);
    await mkdir(uploads, { recursive: true });
    const path = join(uploads, randomUUID());
    await using file = await open(path, "wx");
    await file.writeFile(bytes);
    await file.sync();
    if (!this.#isCleared) await clearOldFiles(uploads, (await file.stat()).mtimeMs - MAX_UPLOAD_AGE_MS);
    this.#isCleared = true;
    return path;
  }

  /** Makes a directory that survives a power cut. */
  async #makeDirectory(path: string): Promise<void> {
    const first = await mkdir(path, { recursive: true });
    if (first === undefined) return;
    for (let dir = path; dir.length >= first.length; dir = dirname(dir)) await syncDirectory(dirname(dir));
  }

  /**
   * Finds out whether the directory is a store. An empty one becomes a store at the first use.
   * @throws {StoreRefusal} it is none
   * @throws {PassingFault} it was one before
   */
  async #find(): Promise<void> {
    const mark = join(this.#root, MARK);
    if (await stat(mark).catch(ignoreMissing)) {
      this.#wasFound = true;
      return;
    }
    if (this.#wasFound) throw new PassingFault(`its file ${MARK} is missing. Is the directory mounted?`);
    const entries = await readdir(this.#root).catch(ignoreMissing);
    if (!entries) throw new StoreRefusal(this.url, "there is no such directory. Make or mount it first");
    const [other] = entries.filter((entry) => !entry.startsWith(".") && entry !== "lost+found" && entry !== MARK);
    if (other !== undefined)
      throw new StoreRefusal(
        this.url,
        `it has no ${MARK} and is not empty (${other}). Name a store or an empty directory`,
      );
    await this.#makeMark(mark);
    this.#wasFound = true;
  }

  /** By a hard link, so a file system without hard links is refused at the start. */
  async #makeMark(mark: string): Promise<void> {
    const draft = `${this.#root}/.${MARK}-${randomUUID()}`;
    try {
      await using file = await open(draft, "wx");
      await file.writeFile(`${JSON.stringify({ format: "mosara-store", version: 1 })}\n`);
      await file.sync();
      await link(draft, mark);
      await syncDirectory(this.#root);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error; // another server was first
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** @throws {AppError} store_damaged: a pointer names a path outside of the store */
  #pathOf(key: string): string {
    const isPlain = key.split("/").every((part) => /^[\w:-][\w:.-]{0,254}$/.test(part));
    if (!isPlain) throw damaged(this.url, "a pointer names an object that cannot be in it");
    return join(this.#root, key);
  }

  async #run<T>(operation: string, work: () => Promise<T>): Promise<T> {
    return await this.#policy.run(operation, async (signal) => {
      try {
        return await this.#slots.run(signal, work);
      } catch (error) {
        throw this.#faultOf(error);
      }
    });
  }

  #faultOf(error: unknown): unknown {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof AppError || syscall === undefined) return error;
    if (code === "EROFS") return readOnly(this.url);
    if (/^(EACCES|EPERM)$/.test(code ?? "") && syscall !== "link")
      return new StoreRefusal(this.url, `${code} at ${syscall}`);
    if (syscall === "link" && /^(EPERM|ENOTSUP|EOPNOTSUPP|ENOSYS|EXDEV)$/.test(code ?? ""))
      return new StoreRefusal(this.url, `its file system has no hard links (${code}), which conditional writes need`);
    return new PassingFault(`${code} at ${syscall}`, { cause: error });
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** The version makes tags differ where a content returns. */
function etagOf(versions: Versions | "file", bytes: Uint8Array): string {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  return `"${versions === "file" ? 0 : versions.latest}-${hash}"`;
}

/** @throws {AppError} adapter_too_large */
async function readWhole(path: string, maxBytes: number): Promise<Uint8Array> {
  await using file = await open(path);
  const { size } = await file.stat();
  if (size > maxBytes)
    throw new AppError("adapter_too_large", `An object of the store is larger than ${maxBytes} bytes.`);
  return await file.readFile();
}

/** Names in a directory are on the disk when it is. */
async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path);
  await directory.sync();
}

async function clearOldFiles(folder: string, oldestMs: number): Promise<void> {
  for (const entry of await readdir(folder)) {
    const path = join(folder, entry);
    const found = await stat(path).catch(ignoreMissing);
    if (found && found.mtimeMs < oldestMs) await rm(path, { force: true });
  }
}
