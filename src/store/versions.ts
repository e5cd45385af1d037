/**
 * The earlier generations of names, as rows of a table. `adapter-names.ts` decides which are kept. Each row counts as a
 * reference to its content. All methods that change rows run within the caller's transaction.
 */
import type { AdapterRecord } from "./adapter-record.ts";
import type { StoredRecord, Tables } from "./database.ts";
import type { StoredRecords } from "./stored-records.ts";
import type { OwnedName } from "./tenant.ts";

/** An earlier generation. Rows with higher numbers are newer. */
interface Row {
  readonly key: [string, string, number];
  readonly record: AdapterRecord;
}

export class Versions {
  readonly #table: Tables["versions"];
  readonly #records: StoredRecords;

  constructor({ versions }: Pick<Tables, "versions">, records: StoredRecords) {
    this.#table = versions;
    this.#records = records;
  }

  /** From the newest to the oldest. */
  of({ tenant, name }: OwnedName): AdapterRecord[] {
    return this.#rows(tenant, name).map(({ record }) => record);
  }

  /** All earlier generations of an owner: the name and the generation of each. */
  *ofOwner(tenant: string): Iterable<readonly [string, string]> {
    const range = { start: [tenant], end: [tenant, LAST_NAME] };
    for (const { key, value } of this.#table.getRange(range as object)) yield [key[1], value.generation];
  }

  /** Adds a generation, as the newest. */
  push(record: AdapterRecord): void {
    const { tenant, name } = record;
    const newest = this.#rows(tenant, name)[0]?.key[2] ?? 0;
    void this.#table.put([tenant, name, newest + 1], this.#records.stored(record) satisfies StoredRecord);
  }

  /** Removes one generation. @returns whether it was there */
  remove({ tenant, name }: OwnedName, generation: string): boolean {
    const row = this.#rows(tenant, name).find(({ record }) => record.generation === generation);
    if (row) void this.#table.remove(row.key);
    return row !== undefined;
  }

  #rows(tenant: string, name: string): Row[] {
    const range = { start: [tenant, name, Number.MAX_SAFE_INTEGER], end: [tenant, name, 0], reverse: true };
    return Array.from(this.#table.getRange(range as object), ({ key, value }) => ({
      key,
      record: { ...this.#records.whole([tenant, name], value), isEarlier: true as const },
    }));
  }
}

/** Greater than every character of a name. */
const LAST_NAME = "\x7f";
