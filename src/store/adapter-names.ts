/**
 * The names of one owner, and the adapters that they point to. `reference-counts.ts` decides how long a content lives.
 * Knows nothing of other owners, engines or HTTP. Source: docs/reference/http-api.md, "Adapters".
 */
import { type AdapterFileLimits, type DecodedFile, decodeAdapter, generationOf } from "../adapter/adapter-file.ts";
import { AppError } from "../errors.ts";
import { type AdapterRecord, assertAdapterName, isAdapterName, recordOf } from "./adapter-record.ts";
import { LAST, type Tables, type Totals } from "./database.ts";
import type { GenerationIndex } from "./generation-index.ts";
import type { ImportedFrom, Imports } from "./imports.ts";
import { type Precondition, assertPrecondition } from "./precondition.ts";
import { type ReferenceCounts, notFound } from "./reference-counts.ts";
import type { Scrubber } from "./scrubber.ts";
import type { StoredRecords } from "./stored-records.ts";
import type { Transactions } from "./transactions.ts";

export type PutOutcome = "created" | "replaced" | "unchanged";

export interface PutResult {
  readonly record: AdapterRecord;
  readonly outcome: PutOutcome;
  /** The generation that the name had before; undefined: it is new. */
  readonly replaced: string | undefined;
}

/** A part of a list. */
export interface ListRange {
  readonly limit: number;
  /** The list begins after this name. */
  readonly after?: string | undefined;
}

/** Parts of the store that the names of all owners share. */
export interface NameParts {
  readonly tables: Pick<Tables, "names" | "tenants">;
  readonly records: StoredRecords;
  readonly transactions: Transactions;
  readonly scrubber: Scrubber;
  readonly contents: ReferenceCounts;
  readonly imports: Imports;
  readonly generations: GenerationIndex;
  readonly limits: AdapterFileLimits;
}

/** The most names of an owner, and the most bytes of their files. */
export interface NamesQuota {
  readonly adapters?: number | undefined;
  readonly bytes?: number | undefined;
}

/** For `AdapterStore.namesOf`. */
export class AdapterNames {
  readonly tenant: string;
  readonly #parts: NameParts;
  readonly #quota: NamesQuota;

  constructor(tenant: string, parts: NameParts, quota: NamesQuota) {
    this.tenant = tenant;
    this.#quota = quota;
    this.#parts = parts;
  }

  /**
   * Points `name` to an adapter, in one step. When the promise resolves, the change is on disk. Until then the old
   * adapter is served.
   * @param file its bytes, or the file as the caller decoded it within the store's limits
   * @param importedFrom the file that the bytes come from, and its state; noted in the same step
   * @throws AppError invalid_request (name), adapter_invalid, adapter_too_large, precondition_failed, quota_exceeded.
   */
  async put(
    name: string,
    file: Uint8Array | DecodedFile,
    precondition: Precondition = {},
    importedFrom?: ImportedFrom,
  ): Promise<PutResult> {
    assertAdapterName(name);
    const { limits, transactions, imports, contents, records, scrubber } = this.#parts;
    const { bytes, adapter } = "adapter" in file ? file : { bytes: file, adapter: decodeAdapter(file, limits) };
    const content = Buffer.from(bytes); // the caller may reuse its memory before the transaction runs
    const owned = { tenant: this.tenant, name };
    const record = recordOf(owned, generationOf(content), content.byteLength, adapter);
    const { result, old } = await transactions.write(() => {
      const before = this.#recordOf(name);
      assertPrecondition(name, before, precondition);
      if (importedFrom) {
        const { path, state } = importedFrom;
        imports.note(path, { generation: record.generation, name, ...(state === undefined ? {} : { state }) });
      }
      if (before?.generation === record.generation)
        return {
          result: { record: before, outcome: "unchanged" as const, replaced: before.generation },
          old: undefined,
        };
      this.#assertFits(before ? 0 : 1, record.bytes - (before?.bytes ?? 0));
      if (before) {
        contents.subtract(before.generation);
        scrubber.mark();
      }
      contents.add(record.generation, content);
      records.put([this.tenant, name], record);
      this.#addToTotals(before ? 0 : 1, record.bytes - (before?.bytes ?? 0));
      const outcome = before ? ("replaced" as const) : ("created" as const);
      return { result: { record, outcome, replaced: before?.generation }, old: before };
    });
    this.#parts.generations.note(this.tenant, name, old?.generation, record.generation);
    if (old) {
      await contents.dropIfUnused(old.generation);
      this.#parts.scrubber.schedule();
    }
    return result;
  }

  get(name: string): AdapterRecord | undefined {
    return isAdapterName(name) ? this.#recordOf(name) : undefined;
  }

  /** The records of this owner with this content. */
  withGeneration(generation: string): readonly AdapterRecord[] {
    const names = this.#parts.generations.namesOf(this.tenant, generation, () => this.#allGenerations());
    const records = names.flatMap((name) => this.#recordOf(name) ?? []);
    return records.filter((record) => record.generation === generation); // a name may have changed just now
  }

  /** Removes the name. @throws AppError adapter_not_found, precondition_failed. */
  async delete(name: string, precondition: Precondition = {}): Promise<AdapterRecord> {
    assertAdapterName(name);
    const { transactions, contents, tables, scrubber } = this.#parts;
    const record = await transactions.write(() => {
      const before = this.#recordOf(name);
      // A name that does not exist is reported as such, with any precondition.
      if (!before) throw new AppError("adapter_not_found", notFound(`adapter "${name}"`));
      assertPrecondition(name, before, precondition);
      contents.subtract(before.generation);
      void tables.names.remove([this.tenant, name]);
      scrubber.mark();
      this.#addToTotals(-1, -before.bytes);
      return before;
    });
    this.#parts.generations.note(this.tenant, name, record.generation, undefined);
    await contents.dropIfUnused(record.generation);
    scrubber.schedule();
    return record;
  }

  /** Up to `limit` records in the order of their names, beginning after `after`. @throws AppError invalid_request (after). */
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
  }

  /** Number of names, and the sum of the sizes of their files. */
  totals(): Totals {
    return this.#parts.tables.tenants.get(this.tenant) ?? { names: 0, bytes: 0 };
  }

  /** Within a transaction. @throws {AppError} quota_exceeded */
  #assertFits(names: number, bytes: number): void {
    const before = this.totals();
    const { adapters = Infinity, bytes: maxBytes = Infinity } = this.#quota;
    const isOver = (names > 0 && before.names + names > adapters) || (bytes > 0 && before.bytes + bytes > maxBytes);
    if (!isOver) return;
    const shown = (limit: number) => (limit === Infinity ? "any number of" : `at most ${limit}`);
    throw new AppError(
      "quota_exceeded",
      `This tenant may keep ${shown(adapters)} adapters and ${shown(maxBytes)} bytes. It has ${before.names} adapters with ${before.bytes} bytes, and this file would add ${bytes}. Delete an adapter first.`,
    );
  }

  /** Within a transaction. */
  #addToTotals(names: number, bytes: number): void {
    const before = this.totals();
    const after = { names: before.names + names, bytes: before.bytes + bytes };
    const { tenants } = this.#parts.tables;
    void (after.names === 0 ? tenants.remove(this.tenant) : tenants.put(this.tenant, after));
  }

  #recordOf(name: string): AdapterRecord | undefined {
    const key: [string, string] = [this.tenant, name];
    const stored = this.#parts.tables.names.get(key);
    return stored && this.#parts.records.whole(key, stored);
  }
}
