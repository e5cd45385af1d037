/**
 * Adapters on disk: immutable contents under their hash, and names of tenants that point to them. One process writes,
 * others read. `adapter-names.ts` has the names of one owner. Knows nothing of engines, HTTP or directories.
 */
import type { AdapterFileLimits } from "../adapter/adapter-file.ts";
import { AdapterNames, type NameParts } from "./adapter-names.ts";
import type { AdapterRecord } from "./adapter-record.ts";
import type { StoredAlias } from "./aliases/alias-record.ts";
import { Aliases } from "./aliases/aliases.ts";
import { ErrorSamples } from "./counts/error-samples.ts";
import { type Tables, openTables } from "./database.ts";
import { DiskRoom } from "./lmdb/disk-room.ts";
import { GenerationIndex } from "./generation-index.ts";
import { Imports } from "./imports.ts";
import type { NamesQuota } from "./owner-totals.ts";
import { mirrorAliases } from "./published/mirror-aliases.ts";
import { type MirroredGeneration, mirrorName, publishedPage } from "./published/mirror-name.ts";
import { ReferenceCounts } from "./reference-counts.ts";
import { Scrubber } from "./scrubber.ts";
import { StoredRecords } from "./stored-records.ts";
import type { OwnedName } from "./tenant.ts";
import { Transactions } from "./lmdb/transactions.ts";
import { Usage } from "./counts/usage.ts";
import { Versions } from "./versions.ts";

export interface AdapterStoreOptions extends AdapterFileLimits {
  /** The store accepts no writes and removes nothing. */
  readonly readOnly?: boolean;
  /** Generations of each name that are kept, with the current one. Default: 1, the current one alone. */
  readonly keepGenerations?: number;
}

/**
 * Opens the store in `dir`, creating it unless `readOnly`. Contents that a killed process left behind are removed.
 * @throws Error when `dir` cannot be used.
 */
export async function openAdapterStore(dir: string, options: AdapterStoreOptions = {}): Promise<AdapterStore> {
  const tables = await openTables(dir, options.readOnly ?? false);
  const store = new AdapterStore(tables, new DiskRoom(tables.root, dir), options);
  if (options.readOnly === true) return store;
  await store.contents.clearLeftovers();
  store.scheduleScrub(); // a killed process may have left deleted bytes
  return store;
}

export class AdapterStore implements AsyncDisposable {
  /** Lifetimes of contents: holds, and listeners for removed contents. */
  readonly contents: ReferenceCounts;
  /** Imports by path. */
  readonly imports: Imports;
  /** Requests and tokens of tenants. */
  readonly usage: Usage;
  /** The counts by which the rules of aliases judge. */
  readonly errorSamples: ErrorSamples;
  readonly #isReadOnly: boolean;
  readonly #tables: Tables;
  readonly #parts: NameParts;
  readonly #transactions: Transactions;
  readonly #scrubber: Scrubber;

  /** For `openAdapterStore`. */
  constructor(
    tables: Tables,
    room: DiskRoom,
    { readOnly: isReadOnly = false, keepGenerations = 1, ...limits }: AdapterStoreOptions,
  ) {
    this.#isReadOnly = isReadOnly;
    this.#tables = tables;
    this.#transactions = new Transactions(tables.root, room);
    this.contents = new ReferenceCounts(tables, this.#transactions);
    this.imports = new Imports(tables, this.#transactions);
    this.usage = new Usage(tables, this.#transactions);
    this.errorSamples = new ErrorSamples(tables, this.#transactions);
    this.#scrubber = new Scrubber(tables, room);
    const { contents, imports } = this;
    contents.onDropped(() => this.#scrubber.schedule());
    const records = new StoredRecords(tables);
    this.#parts = {
      tables,
      records,
      versions: new Versions(tables, records),
      transactions: this.#transactions,
      contents,
      imports,
      generations: new GenerationIndex(),
      scrubber: this.#scrubber,
      limits,
      keepGenerations,
    };
  }

  /** The names of one owner: a tenant, or `shared`. @param quota the most that a put may leave there */
  namesOf(tenant: string, quota: NamesQuota = {}): AdapterNames {
    return new AdapterNames(tenant, this.#parts, quota);
  }

  /** The aliases of one owner: a tenant, or `shared`. */
  aliasesOf(tenant: string): Aliases {
    return new Aliases(tenant, { ...this.#parts, tables: this.#tables });
  }

  /** Makes the local copy of a published name. See `mirrorName`. */
  async mirror(owned: OwnedName, generations: readonly MirroredGeneration[]): Promise<boolean> {
    return await mirrorName(this.#parts, owned, generations);
  }

  /** Makes the local copies of an owner's published aliases. See `mirrorAliases`. */
  async mirrorAliases(tenant: string, aliases: ReadonlyMap<string, StoredAlias>): Promise<void> {
    await mirrorAliases({ ...this.#parts, tables: this.#tables }, tenant, aliases);
  }

  /** Local copies of published names, of all owners. @param after the last page's `next` */
  publishedPage(after: readonly [string, string] | null, limit: number) {
    return publishedPage(this.#parts, after, limit);
  }

  /** The first records of all owners, for the operator. */
  first(limit: number): AdapterRecord[] {
    const entries = this.#tables.names.getRange({ limit });
    return Array.from(entries, ({ key, value }) => this.#parts.records.whole(key, value));
  }

  /** The file's bytes, in the caller's own memory. */
  content(generation: string): Uint8Array | undefined {
    return this.#tables.contents.get(generation);
  }

  /** Number of names of all owners. */
  count(): number {
    return this.contents.totals().names;
  }

  /** Bytes of all contents. */
  totalBytes(): number {
    return this.contents.totals().bytes;
  }

  /** Overwrites deleted bytes soon, if there are any. */
  scheduleScrub(): void {
    this.#scrubber.schedule();
  }

  /** Waits for running transactions and closes the files. */
  async close(): Promise<void> {
    await this.usage.close();
    await this.errorSamples.close();
    await this.#transactions.settle(); // a deletion that has begun is overwritten too
    if (!this.#isReadOnly) await this.#scrubber.close();
    await this.#transactions.settle();
    await this.#tables.root.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
