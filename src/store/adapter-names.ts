/**
 * The names of one owner, and the adapters that they point to, now and earlier. `reference-counts.ts` decides how long
 * a content lives. Knows nothing of other owners, engines or HTTP. Source: docs/reference/http-api.md, "Adapters".
 */
import { type AdapterFileLimits, type DecodedFile, decodedFile, generationOf } from "../adapter/adapter-file.ts";
import { AppError } from "../errors.ts";
import { type AdapterRecord, assertAdapterName, isAdapterName, recordOf, unixNow } from "./adapter-record.ts";
import { aliasesOf, aliasOf, assertNoAlias, assertUnused, pinnedGenerations } from "./aliases/alias-table.ts";
import { LAST, type Tables, type Totals } from "./database.ts";
import type { GenerationIndex } from "./generation-index.ts";
import type { ImportedFrom, Imports } from "./imports.ts";
import { type NamesQuota, OwnerTotals } from "./owner-totals.ts";
import { type Precondition, assertPrecondition } from "./precondition.ts";
import { type ReferenceCounts, notFound } from "./reference-counts.ts";
import type { Scrubber } from "./scrubber.ts";
import type { StoredRecords } from "./stored-records.ts";
import type { OwnedName } from "./tenant.ts";
import type { Transactions } from "./lmdb/transactions.ts";
import { pickVersion, type Version } from "./version-reference.ts";
import type { Versions } from "./versions.ts";

export type PutOutcome = "created" | "replaced" | "unchanged";

export interface PutResult {
  readonly record: AdapterRecord;
  readonly outcome: PutOutcome;
  /** The generation that the name had before; undefined: it is new. */
  readonly replaced: string | undefined;
}

/** Changes names of one owner, here or in a store that servers share. The methods are as those of `AdapterNames`. */
export interface NameWriter {
  put(name: string, file: Uint8Array | DecodedFile, precondition?: Precondition): Promise<PutResult>;
  restore(name: string, version: Version, precondition?: Precondition): Promise<PutResult>;
  delete(name: string, precondition?: Precondition): Promise<unknown>;
  deleteVersion(name: string, version: Version, precondition?: Precondition): Promise<unknown>;
}

/** A part of a list. */
export interface ListRange {
  readonly limit: number;
  /** The list begins after this name. */
  readonly after?: string | undefined;
}

/** Parts of the store that the names of all owners share. */
export interface NameParts {
  readonly tables: Pick<Tables, "names" | "tenants" | "aliases">;
  readonly records: StoredRecords;
  readonly versions: Versions;
  readonly transactions: Transactions;
  readonly scrubber: Scrubber;
  readonly contents: ReferenceCounts;
  readonly imports: Imports;
  readonly generations: GenerationIndex;
  readonly limits: AdapterFileLimits;
  /** Generations of each name that are kept, with the current one. */
  readonly keepGenerations: number;
}

/** The effects of a change within its transaction. */
interface Changed<T> {
  readonly result: T;
  /** A generation that the name has now. */
  readonly added?: string;
  /** Generations that the name no longer has. */
  readonly dropped: readonly AdapterRecord[];
}

/** For `AdapterStore.namesOf`. */
export class AdapterNames implements NameWriter {
  readonly tenant: string;
  readonly #parts: NameParts;
  readonly #totals: OwnerTotals;

  constructor(tenant: string, parts: NameParts, quota: NamesQuota) {
    this.tenant = tenant;
    this.#parts = parts;
    this.#totals = new OwnerTotals(tenant, parts.tables, quota);
  }

  /**
   * Points `name` to an adapter, in one step. When the promise resolves, the change is on disk. Until then the old
   * adapter is served. The old one stays as an earlier generation while there is room for it.
   * @param file its bytes, or the file as the caller decoded it within the store's limits
   * @param importedFrom the file that the bytes come from, and its state; noted in the same step
   * @throws AppError invalid_request (name), adapter_invalid, adapter_too_large, precondition_failed, quota_exceeded,
   * name_in_use (an alias).
   */
  async put(
    name: string,
    file: Uint8Array | DecodedFile,
    precondition: Precondition = {},
    importedFrom?: ImportedFrom,
  ): Promise<PutResult> {
    assertAdapterName(name);
    const { limits, imports } = this.#parts;
    const { bytes, adapter } = decodedFile(file, limits);
    const content = Buffer.from(bytes); // the caller may reuse its memory before the transaction runs
    const record = recordOf({ tenant: this.tenant, name }, generationOf(content), content.byteLength, adapter);
    const change = () => {
      const before = this.#recordOf(name);
      assertPrecondition(`Adapter "${name}"`, before?.generation, precondition);
      if (importedFrom) {
        const { path, state } = importedFrom;
        imports.note(path, { generation: record.generation, name, ...(state === undefined ? {} : { state }) });
      }
      return this.#point(before, record, content);
    };
    return await this.#change(name, change, content.byteLength);
  }

  /**
   * Points the name to one of its earlier generations, in one step. The current one becomes an earlier one.
   * @throws {AppError} adapter_not_found, ambiguous_generation, precondition_failed
   */
  async restore(name: string, version: Version, precondition: Precondition = {}): Promise<PutResult> {
    assertAdapterName(name);
    return await this.#change(name, () => {
      const before = this.#existing(name);
      assertPrecondition(`Adapter "${name}"`, before?.generation, precondition);
      const found = pickVersion(name, version, this.versions(name));
      if (!found) throw new AppError("adapter_not_found", notFound(`such generation of "${name}"`));
      const { isEarlier: _, ...record } = found;
      return this.#point(before, { ...record, created: unixNow() }, null);
    });
  }

  get(name: string): AdapterRecord | undefined {
    return isAdapterName(name) ? this.#recordOf(name) : undefined;
  }

  /** The current generation of a name, then its earlier ones from the newest to the oldest. */
  versions(name: string): readonly AdapterRecord[] {
    const current = this.get(name);
    return current ? [current, ...this.#parts.versions.of(current)] : [];
  }

  /** @throws {AppError} ambiguous_generation */
  find(name: string, version: Version): AdapterRecord | undefined {
    return version.kind === "current" ? this.get(name) : pickVersion(name, version, this.versions(name));
  }

  /** The records of this owner with this content, as the current generation of a name or as an earlier one. */
  withGeneration(generation: string): readonly AdapterRecord[] {
    const names = this.#parts.generations.namesOf(this.tenant, generation, () => this.#allGenerations());
    // The index may lag behind a change, so the table is asked again.
    return names.flatMap((name) => this.versions(name).filter((record) => record.generation === generation));
  }

  /**
   * Removes the name and all its generations.
   * @throws AppError adapter_not_found, precondition_failed, generation_in_use.
   */
  async delete(name: string, precondition: Precondition = {}): Promise<AdapterRecord> {
    assertAdapterName(name);
    const { contents, tables } = this.#parts;
    return await this.#change(name, () => {
      const before = this.#existing(name); // a missing name is reported as such, with any precondition
      assertPrecondition(`Adapter "${name}"`, before?.generation, precondition);
      // A copy goes when the store's name has gone, or for want of room.
      if (before.isPublished !== true) assertUnused(aliasesOf(tables, this.tenant), name, () => true);
      const records = this.versions(name);
      this.#drop(records);
      void tables.names.remove([this.tenant, name]);
      this.#totals.add(-1, 0);
      contents.addNames(-1);
      return { result: before, dropped: records };
    });
  }

  /**
   * Removes one earlier generation of a name.
   * @throws {AppError} adapter_not_found, ambiguous_generation, precondition_failed, generation_in_use: it is the
   * current one, or an alias stands for it
   */
  async deleteVersion(name: string, version: Version, precondition: Precondition = {}): Promise<AdapterRecord> {
    return await this.#change(name, () => {
      const found = this.find(name, version);
      if (!found) throw new AppError("adapter_not_found", notFound(`such generation of "${name}"`));
      assertPrecondition(`Adapter "${name}"`, found.generation, precondition);
      if (found.isEarlier !== true)
        throw new AppError(
          "generation_in_use",
          `"${name}" points to the generation ${found.generation}. Roll the name back first, or delete it whole.`,
        );
      assertUnused(aliasesOf(this.#parts.tables, this.tenant), name, (one) => one.generation === found.generation);
      this.#drop([found]);
      return { result: found, dropped: [found] };
    });
  }

  /** Up to `limit` records by name, beginning after `after`. @throws AppError invalid_request (after). */
  list({ limit, after }: ListRange) {
    if (after !== undefined) assertAdapterName(after);
    if (!Number.isSafeInteger(limit) || limit < 1) throw new Error(`internal: a list of ${limit} records`);
    const { tables, records } = this.#parts;
    const range = {
      start: [this.tenant, after ?? ""],
      end: [this.tenant, LAST],
      exclusiveStart: true,
      limit: limit + 1,
    };
    const found = Array.from(tables.names.getRange(range), ({ key, value }) => records.whole(key, value));
    return { records: found.slice(0, limit), hasMore: found.length > limit };
  }

  *#allGenerations(): Iterable<readonly [string, string]> {
    const range = { start: [this.tenant, ""], end: [this.tenant, LAST] };
    for (const { key, value } of this.#parts.tables.names.getRange(range)) yield [key[1], value.generation];
    yield* this.#parts.versions.ofOwner(this.tenant);
  }

  /** Number of names, and the sum of the sizes of the files of all their generations. */
  totals(): Totals {
    return this.#totals.get();
  }

  /** Runs a change in a transaction. Afterwards it removes the contents that nothing points to any more. */
  async #change<T>(name: string, change: () => Changed<T>, bytes = 0): Promise<T> {
    const { transactions, generations, contents, scrubber } = this.#parts;
    const { result, added, dropped } = await transactions.write(change, bytes);
    if (added !== undefined) generations.add(this.tenant, name, added);
    for (const { generation } of dropped) generations.remove(this.tenant, name, generation);
    await Promise.all(dropped.map(({ generation }) => contents.dropIfUnused(generation)));
    if (dropped.length > 0) scrubber.schedule();
    return result;
  }

  /**
   * Within a transaction.
   * @param content null: the name has this generation as an earlier one
   * @throws {AppError} quota_exceeded
   */
  #point(before: AdapterRecord | undefined, record: AdapterRecord, content: Buffer | null): Changed<PutResult> {
    if (before?.generation === record.generation) {
      return { result: { record: before, outcome: "unchanged", replaced: before.generation }, dropped: [] };
    }
    const { contents, records, versions } = this.#parts;
    const earlier = before ? this.versions(record.name).filter((one) => one.generation !== record.generation) : [];
    const isKept = versions.remove(record, record.generation);
    const bytes = isKept ? 0 : record.bytes;
    if (!before) assertNoAlias(record.name, aliasOf(this.#parts.tables, this.tenant, record.name));
    const dropped = this.#surplus(record, earlier, bytes);
    this.#totals.assertFits(before ? 0 : 1, bytes - dropped.reduce((sum, one) => sum + one.bytes, 0));
    if (!isKept) {
      if (content === null) throw new Error(`internal: ${record.generation} is no earlier generation of the name`);
      contents.add(record.generation, content);
    }
    if (before) versions.push(before);
    else contents.addNames(1);
    this.#totals.add(before ? 0 : 1, bytes);
    this.#drop(dropped);
    records.put([this.tenant, record.name], record);
    const outcome = before ? "replaced" : "created";
    return { result: { record, outcome, replaced: before?.generation }, added: record.generation, dropped };
  }

  /**
   * The earlier generations for which there is no room. They give way to the quota of bytes, the oldest first. Those
   * that aliases need stay.
   */
  #surplus(owned: OwnedName, earlier: readonly AdapterRecord[], addedBytes: number): readonly AdapterRecord[] {
    if (earlier.length === 0) return [];
    const pinned = pinnedGenerations(aliasesOf(this.#parts.tables, owned.tenant), owned.name);
    const mayGo = ({ generation }: AdapterRecord) => !pinned.has(generation);
    const kept = earlier.slice(0, this.#parts.keepGenerations - 1).filter(mayGo);
    const dropped = earlier.slice(this.#parts.keepGenerations - 1).filter(mayGo);
    let excess = this.#totals.excessOf(addedBytes) - dropped.reduce((sum, { bytes }) => sum + bytes, 0);
    for (let oldest = kept.pop(); oldest && excess > 0; oldest = kept.pop()) {
      dropped.push(oldest);
      excess -= oldest.bytes;
    }
    return dropped;
  }

  /** Within a transaction. */
  #drop(records: readonly AdapterRecord[]): void {
    const { contents, versions, scrubber } = this.#parts;
    for (const record of records) {
      versions.remove(record, record.generation);
      contents.subtract(record.generation);
      this.#totals.add(0, -record.bytes);
    }
    if (records.length > 0) scrubber.mark();
  }

  /** Within a transaction. @throws {AppError} adapter_not_found */
  #existing(name: string): AdapterRecord {
    const found = this.#recordOf(name);
    if (!found) throw new AppError("adapter_not_found", notFound(`adapter "${name}"`));
    return found;
  }

  #recordOf(name: string): AdapterRecord | undefined {
    const key: [string, string] = [this.tenant, name];
    const stored = this.#parts.tables.names.get(key);
    return stored && this.#parts.records.whole(key, stored);
  }
}
