/**
 * Adapters on disk: contents under their hash, immutable, and names that point to them. One process writes, others read.
 * A content lives while a name points to it or somebody in this process holds it. Knows nothing of engines, HTTP or directories.
 * Source: docs/reference/http-api.md, "Adapters".
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { type AdapterFileLimits, decodeAdapter, generationOf } from "../adapter/adapter-file.ts";
import { AppError } from "../errors.ts";
import { type AdapterRecord, type RecordTarget, assertAdapterName, isAdapterName, recordOf } from "./adapter-record.ts";
import {
  type ImportRecord,
  LAST,
  type StoredRecord,
  TENANT,
  type Tables,
  type Totals,
  openTables,
} from "./database.ts";
import { Holds } from "./holds.ts";

/** What must be true of a name before it changes; `ifMatch: "*"` wants it to exist, whatever it points to. */
export interface Precondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: "*";
}

export type PutOutcome = "created" | "replaced" | "unchanged";

export interface PutResult {
  readonly record: AdapterRecord;
  readonly outcome: PutOutcome;
}

/** Where an adapter's bytes come from. */
export interface ImportedFrom extends Pick<ImportRecord, "state"> {
  readonly path: string;
}

export interface AdapterStore extends AsyncDisposable {
  /**
   * Points `name` to the adapter in `bytes`, in one step that is on disk when the promise resolves; the old one serves until then.
   * @param importedFrom the file the bytes come from, and its state; noted in the same step.
   * @throws AppError invalid_request (name), adapter_invalid, adapter_too_large, precondition_failed.
   */
  put(name: string, bytes: Uint8Array, precondition?: Precondition, importedFrom?: ImportedFrom): Promise<PutResult>;
  get(name: string): AdapterRecord | undefined;
  /** The file's bytes, in memory of the caller's own. */
  content(generation: string): Uint8Array | undefined;
  /** Removes the name. @throws AppError adapter_not_found, precondition_failed. */
  delete(name: string, precondition?: Precondition): Promise<AdapterRecord>;
  /** Up to `limit` records in the order of their names, beginning behind `after`. @throws AppError invalid_request (after). */
  list(options: { readonly limit: number; readonly after?: string }): {
    readonly records: AdapterRecord[];
    readonly hasMore: boolean;
  };
  /** Names there are. */
  count(): number;
  /** Bytes of all contents. */
  totalBytes(): number;
  /**
   * Holds a content, as often as called, until `release`. Call it in the same turn as the `get` that told the generation.
   * @throws AppError adapter_not_found when the content is gone.
   */
  acquire(generation: string): void;
  /** Lets go of a content; the last one to do so removes it when no name points to it. */
  release(generation: string): void;
  /** `listener` is told of every generation whose content is gone. Returns how to stop that. */
  onDropped(listener: (generation: string) => void): () => void;
  /** What was last imported from `path`. */
  importRecord(path: string): ImportRecord | undefined;
  setImportRecord(path: string, record: ImportRecord): Promise<void>;
  removeImportRecord(path: string): Promise<void>;
  /** What was imported from anywhere, a page of it; `after` is what the page before gave, null at the end. */
  imports(after?: string): { readonly imported: ImportedFrom[]; readonly next: string | null };
  /** Waits for what is under way and closes the files. */
  close(): Promise<void>;
}

export interface AdapterStoreOptions extends AdapterFileLimits {
  /** Nothing can be written and nothing is cleared away. */
  readonly readOnly?: boolean;
}

/**
 * Opens the store in `dir`, making it unless `readOnly`. Contents that a process left behind when it was killed are removed.
 * @throws Error when `dir` cannot be used.
 */
export async function openAdapterStore(dir: string, options: AdapterStoreOptions = {}): Promise<AdapterStore> {
  const { readOnly: isReadOnly = false, ...limits } = options;
  const store = new LmdbAdapterStore(openTables(dir, isReadOnly), limits);
  if (!isReadOnly) await store.clearLeftovers();
  return store;
}

/** Two milliseconds' worth. */
const IMPORTS_PAGE = 1000;
/** Lists of targets in memory. */
const MAX_KNOWN_TARGETS = 256;

class LmdbAdapterStore implements AdapterStore {
  readonly #tables: Tables;
  readonly #limits: AdapterFileLimits;
  readonly #holds = new Holds();
  readonly #droppedListeners = new Set<(generation: string) => void>();
  /** Lists of targets by their hash: records of one kind have the same object. */
  readonly #knownTargets = new LRUCache<string, readonly RecordTarget[]>({ max: MAX_KNOWN_TARGETS });
  /** Transactions under way. */
  readonly #writes = new Set<Promise<unknown>>();

  constructor(tables: Tables, limits: AdapterFileLimits) {
    this.#tables = tables;
    this.#limits = limits;
  }

  async put(
    name: string,
    bytes: Uint8Array,
    precondition: Precondition = {},
    importedFrom?: ImportedFrom,
  ): Promise<PutResult> {
    assertAdapterName(name);
    const content = Buffer.from(bytes); // the caller may reuse its memory before the transaction runs
    const adapter = decodeAdapter(content, this.#limits);
    const record = recordOf(name, generationOf(content), content.byteLength, adapter);
    const { result, old } = await this.#write(() => {
      const before = this.#recordOf(name);
      assertPrecondition(name, before, precondition);
      if (importedFrom) {
        const { path, state } = importedFrom;
        this.#noteImport(path, { generation: record.generation, name, ...(state === undefined ? {} : { state }) });
      }
      if (before?.generation === record.generation)
        return { result: { record: before, outcome: "unchanged" as const }, old: undefined };
      if (before) this.#unreference(before);
      this.#reference(record, content);
      void this.#tables.names.put([TENANT, name], this.#stored(record));
      return { result: { record, outcome: before ? ("replaced" as const) : ("created" as const) }, old: before };
    });
    if (old) await this.#dropIfUnused(old.generation);
    return result;
  }

  get(name: string): AdapterRecord | undefined {
    return isAdapterName(name) ? this.#recordOf(name) : undefined;
  }

  content(generation: string): Uint8Array | undefined {
    return this.#tables.contents.get(generation);
  }

  async delete(name: string, precondition: Precondition = {}): Promise<AdapterRecord> {
    assertAdapterName(name);
    const record = await this.#write(() => {
      const before = this.#recordOf(name);
      // A name that does not exist is told as such, whatever was expected of it.
      if (!before) throw new AppError("adapter_not_found", notFound(`adapter "${name}"`));
      assertPrecondition(name, before, precondition);
      this.#unreference(before);
      void this.#tables.names.remove([TENANT, name]);
      return before;
    });
    await this.#dropIfUnused(record.generation);
    return record;
  }

  list({ limit, after }: { readonly limit: number; readonly after?: string }) {
    if (after !== undefined) assertAdapterName(after);
    if (!Number.isSafeInteger(limit) || limit < 1) throw new Error(`internal: a list of ${limit} records`);
    const range = { start: [TENANT, after ?? ""], end: [TENANT, LAST], exclusiveStart: true, limit: limit + 1 };
    const records = Array.from(this.#tables.names.getRange(range), ({ value }) => this.#whole(value));
    return { records: records.slice(0, limit), hasMore: records.length > limit };
  }

  count(): number {
    return this.#totals().names;
  }

  totalBytes(): number {
    return this.#totals().bytes;
  }

  acquire(generation: string): void {
    const { contents, references } = this.#tables;
    // With a name pointing to it, it was put again after the removal; LMDB may show that before it tells us of the commit.
    const isLeaving = this.#holds.isBeingRemoved(generation) && !references.doesExist(generation);
    if (isLeaving || !contents.doesExist(generation))
      throw new AppError("adapter_not_found", notFound(`adapter content ${generation}`));
    this.#holds.add(generation);
  }

  release(generation: string): void {
    if (this.#holds.remove(generation) > 0) return;
    if (this.#tables.references.doesExist(generation)) return;
    // A failed write leaves the content to `clearLeftovers`; whoever runs the process sees the warning.
    this.#dropIfUnused(generation).catch((error: unknown) => process.emitWarning(error as Error));
  }

  onDropped(listener: (generation: string) => void): () => void {
    this.#droppedListeners.add(listener);
    return () => this.#droppedListeners.delete(listener);
  }

  importRecord(path: string): ImportRecord | undefined {
    const found = this.#tables.imports.get(importKey(path));
    if (!found) return undefined;
    const { path: _, ...record } = found;
    return record;
  }

  async setImportRecord(path: string, record: ImportRecord): Promise<void> {
    await this.#write(() => this.#noteImport(path, record));
  }

  async removeImportRecord(path: string): Promise<void> {
    await this.#write(() => void this.#tables.imports.remove(importKey(path)));
  }

  imports(after = ""): { imported: ImportedFrom[]; next: string | null } {
    const range = { start: [TENANT, after], end: [TENANT, LAST], exclusiveStart: true, limit: IMPORTS_PAGE };
    const entries = Array.from(this.#tables.imports.getRange(range));
    const next = entries.length < IMPORTS_PAGE ? null : (entries.at(-1)?.key[1] ?? null);
    return { imported: entries.map(({ value }) => value), next };
  }

  async close(): Promise<void> {
    while (this.#writes.size > 0) await Promise.allSettled(this.#writes); // one may bring forth another
    await this.#tables.root.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Removes contents that no name points to; only before anybody can hold one. */
  async clearLeftovers(): Promise<void> {
    const generations = [...this.#tables.leftovers.getKeys()];
    await Promise.all(generations.map((generation) => this.#dropIfUnused(generation)));
  }

  /** Runs `change` in a transaction that takes back everything when it throws; resolves when others see it. */
  async #commit<T>(change: () => T): Promise<T> {
    const write = this.#tables.root.childTransaction(change as () => Promise<T>);
    this.#writes.add(write);
    try {
      return await write;
    } finally {
      this.#writes.delete(write);
    }
  }

  /** The same, resolving when it is on disk: committed means visible, not yet safe from a power cut. */
  async #write<T>(change: () => T): Promise<T> {
    const result = await this.#commit(change);
    await this.#tables.root.flushed;
    return result;
  }

  #recordOf(name: string): AdapterRecord | undefined {
    const stored = this.#tables.names.get([TENANT, name]);
    return stored && this.#whole(stored);
  }

  #whole(stored: StoredRecord): AdapterRecord {
    if ("targets" in stored) return stored;
    const { targetsId, ...record } = stored;
    const targets = this.#knownTargets.get(targetsId) ?? this.#tables.targets.get(targetsId);
    if (!targets) throw new Error(`internal: the store has lost the targets of ${record.name}`);
    this.#knownTargets.set(targetsId, targets);
    return { ...record, targets };
  }

  /** The record as it is kept; within a transaction, which also keeps its targets. */
  #stored({ targets, ...record }: AdapterRecord): StoredRecord {
    const targetsId = createHash("sha256").update(JSON.stringify(targets)).digest("hex");
    if (!this.#tables.targets.doesExist(targetsId)) void this.#tables.targets.put(targetsId, targets);
    return { ...record, targetsId };
  }

  #totals(): Totals {
    return (this.#tables.meta.get("totals") as Totals | undefined) ?? { names: 0, bytes: 0 };
  }

  #addToTotals(names: number, bytes: number): void {
    const before = this.#totals();
    void this.#tables.meta.put("totals", { names: before.names + names, bytes: before.bytes + bytes });
  }

  #noteImport(path: string, record: ImportRecord): void {
    void this.#tables.imports.put(importKey(path), { path, ...record });
  }

  #reference({ generation }: AdapterRecord, content: Buffer): void {
    const { contents, references, leftovers } = this.#tables;
    const isNew = !contents.doesExist(generation);
    if (isNew) void contents.put(generation, content);
    void leftovers.remove(generation);
    void references.put(generation, (references.get(generation) ?? 0) + 1);
    this.#addToTotals(1, isNew ? content.byteLength : 0);
  }

  /** The content stays for now: it is removed by a second transaction, when readers no longer find the name. */
  #unreference({ generation }: AdapterRecord): void {
    const { references, leftovers } = this.#tables;
    const numLeft = (references.get(generation) ?? 0) - 1;
    if (numLeft > 0) void references.put(generation, numLeft);
    else {
      void references.remove(generation);
      void leftovers.put(generation, true);
    }
    this.#addToTotals(-1, 0);
  }

  async #dropIfUnused(generation: string): Promise<void> {
    const { contents, references, leftovers } = this.#tables;
    let isRemoving = false;
    try {
      await this.#commit(() => {
        if (this.#holds.has(generation) || references.doesExist(generation)) return;
        const numBytes = contents.getBinaryFast(generation)?.length;
        if (numBytes === undefined) return;
        // From here to the commit readers still see the content, but must not begin to use it.
        this.#holds.beginRemoval(generation);
        isRemoving = true;
        void contents.remove(generation);
        void leftovers.remove(generation);
        this.#addToTotals(0, -numBytes);
      });
    } finally {
      if (isRemoving) this.#holds.endRemoval(generation);
    }
    if (!isRemoving || contents.doesExist(generation)) return; // used, gone already, or put again in the meantime
    for (const listener of this.#droppedListeners) listener(generation);
  }
}

function assertPrecondition(name: string, before: AdapterRecord | undefined, precondition: Precondition): void {
  const { ifMatch, ifNoneMatch } = precondition;
  const failed = (wanted: string): AppError => {
    const found = before ? `it is ${before.generation}` : "it does not exist";
    return new AppError("precondition_failed", `Adapter "${name}" was expected ${wanted}; ${found}. Read it again.`);
  };
  if (ifNoneMatch === "*" && before) throw failed("not to exist");
  if (ifMatch === "*" ? !before : ifMatch !== undefined && before?.generation !== ifMatch)
    throw failed(ifMatch === "*" ? "to exist" : `to be ${ifMatch}`);
}

function notFound(what: string): string {
  return `There is no ${what} in the store. List what there is with GET /v1/adapters.`;
}

function importKey(path: string): [string, string] {
  return [TENANT, createHash("sha256").update(path).digest("hex")];
}
