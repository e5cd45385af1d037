/**
 * Imports by path: the generation that each file of a watched directory gave, and the file's state then. Their names
 * are shared by all tenants.
 */
import { createHash } from "node:crypto";
import { type ImportRecord, LAST, type Tables } from "./database.ts";
import { SHARED } from "./tenant.ts";
import type { Transactions } from "./lmdb/transactions.ts";

/** The file that an adapter's bytes come from. */
export interface ImportedFrom extends Pick<ImportRecord, "state"> {
  readonly path: string;
}

/** Entries in a page. A page takes about two milliseconds. */
const PAGE = 1000;

export class Imports {
  readonly #table: Tables["imports"];
  readonly #transactions: Transactions;

  constructor({ imports }: Tables, transactions: Transactions) {
    this.#table = imports;
    this.#transactions = transactions;
  }

  /** The last import from `path`. */
  get(path: string): ImportRecord | undefined {
    const found = this.#table.get(keyOf(path));
    if (!found) return undefined;
    const { path: _, ...record } = found;
    return record;
  }

  async set(path: string, record: ImportRecord): Promise<void> {
    await this.#transactions.write(() => this.note(path, record));
  }

  async remove(path: string): Promise<void> {
    await this.#transactions.write(() => void this.#table.remove(keyOf(path)));
  }

  /** Writes an import within the caller's transaction. */
  note(path: string, record: ImportRecord): void {
    void this.#table.put(keyOf(path), { path, ...record });
  }

  /** A page of all imports. @param after the last page's `next` @returns `next` is null at the end */
  page(after = ""): { readonly imported: ImportedFrom[]; readonly next: string | null } {
    const range = { start: [SHARED, after], end: [SHARED, LAST], exclusiveStart: true, limit: PAGE };
    const entries = Array.from(this.#table.getRange(range));
    const next = entries.length < PAGE ? null : (entries.at(-1)?.key[1] ?? null);
    return { imported: entries.map(({ value }) => value), next };
  }
}

function keyOf(path: string): [string, string] {
  return [SHARED, createHash("sha256").update(path).digest("hex")];
}
