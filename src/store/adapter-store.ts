/**
 * Adapters on disk: immutable contents under their hash, and names that point to them. One process writes, others read.
 * `reference-counts.ts` decides how long a content lives. Knows nothing of engines, HTTP or directories. Source:
 * docs/reference/http-api.md, "Adapters".
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { type AdapterFileLimits, type DecodedFile, decodeAdapter, generationOf } from "../adapter/adapter-file.ts";
import { AppError } from "../errors.ts";
import { type AdapterRecord, type RecordTarget, assertAdapterName, isAdapterName, recordOf } from "./adapter-record.ts";
import { LAST, type StoredRecord, TENANT, type Tables, openTables } from "./database.ts";
import { type ImportedFrom, Imports } from "./imports.ts";
import { type Precondition, assertPrecondition } from "./precondition.ts";
import { ReferenceCounts, notFound } from "./reference-counts.ts";
import { Transactions } from "./transactions.ts";

export type PutOutcome = "created" | "replaced" | "unchanged";

export interface PutResult {
  readonly record: AdapterRecord;
  readonly outcome: PutOutcome;
}

export interface AdapterStoreOptions extends AdapterFileLimits {
  /** The store accepts no writes and removes nothing. */
  readonly readOnly?: boolean;
}

/**
 * Opens the store in `dir`, creating it unless `readOnly`. Contents that a killed process left behind are removed.
 * @throws Error when `dir` cannot be used.
 */
export async function openAdapterStore(dir: string, options: AdapterStoreOptions = {}): Promise<AdapterStore> {
  const { readOnly: isReadOnly = false, ...limits } = options;
  const store = new AdapterStore(openTables(dir, isReadOnly), limits);
  if (!isReadOnly) await store.contents.clearLeftovers();
  return store;
}

/** Lists of targets in memory. */
const MAX_KNOWN_TARGETS = 256;

export class AdapterStore implements AsyncDisposable {
  /** Lifetimes of contents: holds, and listeners for removed contents. */
  readonly contents: ReferenceCounts;
  /** Imports by path. */
  readonly imports: Imports;
  readonly #tables: Tables;
  readonly #limits: AdapterFileLimits;
  readonly #transactions: Transactions;
  /** Lists of targets by their hash. Records of one kind share the same object. */
  readonly #knownTargets = new LRUCache<string, readonly RecordTarget[]>({ max: MAX_KNOWN_TARGETS });

  /** For `openAdapterStore`. */
  constructor(tables: Tables, limits: AdapterFileLimits) {
    this.#tables = tables;
    this.#limits = limits;
    this.#transactions = new Transactions(tables.root);
    this.contents = new ReferenceCounts(tables, this.#transactions);
    this.imports = new Imports(tables, this.#transactions);
  }

  /**
   * Points `name` to an adapter, in one step. When the promise resolves, the change is on disk. Until then the old
   * adapter is served.
   * @param file its bytes, or the file as the caller decoded it within the store's limits
   * @param importedFrom the file that the bytes come from, and its state; noted in the same step
   * @throws AppError invalid_request (name), adapter_invalid, adapter_too_large, precondition_failed.
   */
  async put(
    name: string,
    file: Uint8Array | DecodedFile,
    precondition: Precondition = {},
    importedFrom?: ImportedFrom,
  ): Promise<PutResult> {
    assertAdapterName(name);
    const { bytes, adapter } = "adapter" in file ? file : { bytes: file, adapter: decodeAdapter(file, this.#limits) };
    const content = Buffer.from(bytes); // the caller may reuse its memory before the transaction runs
    const record = recordOf(name, generationOf(content), content.byteLength, adapter);
    const { result, old } = await this.#transactions.write(() => {
      const before = this.#recordOf(name);
      assertPrecondition(name, before, precondition);
      if (importedFrom) {
        const { path, state } = importedFrom;
        this.imports.note(path, { generation: record.generation, name, ...(state === undefined ? {} : { state }) });
      }
      if (before?.generation === record.generation)
        return { result: { record: before, outcome: "unchanged" as const }, old: undefined };
      if (before) this.contents.subtract(before.generation);
      this.contents.add(record.generation, content);
      void this.#tables.names.put([TENANT, name], this.#stored(record));
      return { result: { record, outcome: before ? ("replaced" as const) : ("created" as const) }, old: before };
    });
    if (old) await this.contents.dropIfUnused(old.generation);
    return result;
  }

  get(name: string): AdapterRecord | undefined {
    return isAdapterName(name) ? this.#recordOf(name) : undefined;
  }

  /** The file's bytes, in the caller's own memory. */
  content(generation: string): Uint8Array | undefined {
    return this.#tables.contents.get(generation);
  }

  /** Removes the name. @throws AppError adapter_not_found, precondition_failed. */
  async delete(name: string, precondition: Precondition = {}): Promise<AdapterRecord> {
    assertAdapterName(name);
    const record = await this.#transactions.write(() => {
      const before = this.#recordOf(name);
      // A name that does not exist is reported as such, with any precondition.
      if (!before) throw new AppError("adapter_not_found", notFound(`adapter "${name}"`));
      assertPrecondition(name, before, precondition);
      this.contents.subtract(before.generation);
      void this.#tables.names.remove([TENANT, name]);
      return before;
    });
    await this.contents.dropIfUnused(record.generation);
    return record;
  }

  /** Up to `limit` records in the order of their names, beginning after `after`. @throws AppError invalid_request (after). */
  list({ limit, after }: { readonly limit: number; readonly after?: string }) {
    if (after !== undefined) assertAdapterName(after);
    if (!Number.isSafeInteger(limit) || limit < 1) throw new Error(`internal: a list of ${limit} records`);
    const range = { start: [TENANT, after ?? ""], end: [TENANT, LAST], exclusiveStart: true, limit: limit + 1 };
    const records = Array.from(this.#tables.names.getRange(range), ({ value }) => this.#whole(value));
    return { records: records.slice(0, limit), hasMore: records.length > limit };
  }

  /** Number of names. */
  count(): number {
    return this.contents.totals().names;
  }

  /** Bytes of all contents. */
  totalBytes(): number {
    return this.contents.totals().bytes;
  }

  /** Waits for running transactions and closes the files. */
  async close(): Promise<void> {
    await this.#transactions.settle();
    await this.#tables.root.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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

  /** The record in its stored form. Called within a transaction, which also stores its targets. */
  #stored({ targets, ...record }: AdapterRecord): StoredRecord {
    const targetsId = createHash("sha256").update(JSON.stringify(targets)).digest("hex");
    if (!this.#tables.targets.doesExist(targetsId)) void this.#tables.targets.put(targetsId, targets);
    return { ...record, targetsId };
  }
}
