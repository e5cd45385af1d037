/**
 * Counts of ended sequences and errors, by which the rules of aliases judge. They are written every few seconds, so a
 * killed process loses at most that much. Knows nothing of rules.
 */
import type { Tables } from "../database.ts";
import { DelayedWrite } from "./delayed-write.ts";
import { type OwnedName, qualifiedName } from "../tenant.ts";
import type { Transactions } from "../lmdb/transactions.ts";

/** Sequences that ended within one slice of time. */
export interface SampleSlice {
  /** Unix time divided by the length of a slice. */
  readonly number: number;
  readonly ended: number;
  readonly errors: number;
}

export interface ErrorSample {
  /** A slice is a fixed part of the window. */
  readonly windowSeconds: number;
  /** By target and generation. */
  readonly targets: Readonly<Record<string, readonly SampleSlice[]>>;
}

/** For `AdapterStore.errorSamples`. */
export class ErrorSamples {
  readonly #tables: Pick<Tables, "aliases" | "errorSamples">;
  readonly #transactions: Transactions;
  readonly #unwritten = new Map<string, { readonly alias: OwnedName; readonly read: () => ErrorSample }>();
  readonly #write = new DelayedWrite(() => this.#writeAll());

  constructor(tables: Pick<Tables, "aliases" | "errorSamples">, transactions: Transactions) {
    this.#tables = tables;
    this.#transactions = transactions;
  }

  /** As it was last written. */
  get({ tenant, name }: OwnedName): ErrorSample | undefined {
    return this.#tables.errorSamples.get([tenant, name]);
  }

  /** @param read gives the sample when it is written */
  note({ tenant, name }: OwnedName, read: () => ErrorSample): void {
    this.#unwritten.set(qualifiedName({ tenant, name }), { alias: { tenant, name }, read });
    this.#write.schedule();
  }

  /** Writes what was noted. */
  flush(): Promise<void> {
    return this.#write.run();
  }

  /** Writes a last time. What follows is not kept. */
  close(): Promise<void> {
    return this.#write.close();
  }

  async #writeAll(): Promise<void> {
    const writing = [...this.#unwritten];
    if (writing.length === 0) return;
    this.#unwritten.clear();
    const { aliases, errorSamples } = this.#tables;
    try {
      await this.#transactions.commit(() => {
        for (const [, { alias, read }] of writing) {
          const key: [string, string] = [alias.tenant, alias.name];
          // Deleted meanwhile: nothing may be left of it.
          if (aliases.doesExist(key)) void errorSamples.put(key, read());
        }
      });
    } catch (error) {
      for (const [key, one] of writing) if (!this.#unwritten.has(key)) this.#unwritten.set(key, one);
      throw error;
    }
  }
}
