/** The number of an owner's names and the bytes of all their generations, and the maximum of both. */
import { AppError } from "../errors.ts";
import type { Tables, Totals } from "./database.ts";

/** The maximum number of an owner's names, and of bytes of their files. */
export interface NamesQuota {
  readonly adapters?: number | undefined;
  readonly bytes?: number | undefined;
}

export class OwnerTotals {
  readonly #owner: string;
  readonly #table: Tables["tenants"];
  readonly #quota: NamesQuota;

  constructor(owner: string, { tenants }: Pick<Tables, "tenants">, quota: NamesQuota) {
    this.#owner = owner;
    this.#table = tenants;
    this.#quota = quota;
  }

  get(): Totals {
    return this.#table.get(this.#owner) ?? { names: 0, bytes: 0 };
  }

  /** How far `bytes` more would exceed the quota. 0: they fit. */
  excessOf(bytes: number): number {
    const { bytes: most = Infinity } = this.#quota;
    return Math.max(0, this.get().bytes + bytes - most);
  }

  /** Call it within a transaction. @throws {AppError} quota_exceeded */
  assertFits(names: number, bytes: number): void {
    const before = this.get();
    const { adapters = Infinity, bytes: most = Infinity } = this.#quota;
    const isOver = (names > 0 && before.names + names > adapters) || (bytes > 0 && before.bytes + bytes > most);
    if (!isOver) return;
    const shown = (limit: number) => (limit === Infinity ? "any number of" : `at most ${limit}`);
    throw new AppError(
      "quota_exceeded",
      `This tenant may keep ${shown(adapters)} adapters and ${shown(most)} bytes. It has ${before.names} adapters with ${before.bytes} bytes, and this file would add ${bytes}. Delete an adapter first.`,
    );
  }

  /** Call it within a transaction. */
  add(names: number, bytes: number): void {
    const before = this.get();
    const after = { names: before.names + names, bytes: before.bytes + bytes };
    void (after.names === 0 ? this.#table.remove(this.#owner) : this.#table.put(this.#owner, after));
  }
}
