/**
 * The aliases of one owner. An alias stands for adapters of the same owner, never for another alias, so there are no
 * loops and no ways to another tenant. `alias-table.ts` protects what an alias needs.
 */
import { AppError } from "../../errors.ts";
import { assertAdapterName, unixNow } from "../adapter-record.ts";
import { type AliasChange, type AliasWriter, assertMayBegin, changedAlias, missingAlias } from "./alias-change.ts";
import { type AliasRecord, type AliasTarget, aliasTag, targetText } from "./alias-record.ts";
import { aliasesOf, aliasOf } from "./alias-table.ts";
import type { Tables } from "../database.ts";
import { type Precondition, assertPrecondition } from "../precondition.ts";
import type { Scrubber } from "../scrubber.ts";
import type { Transactions } from "../lmdb/transactions.ts";
import type { Versions } from "../versions.ts";

/** Parts of the store that the aliases of all owners share. */
export interface AliasParts {
  readonly tables: Pick<Tables, "aliases" | "names" | "errorSamples">;
  readonly versions: Versions;
  readonly transactions: Transactions;
  readonly scrubber: Scrubber;
}

/** For `AdapterStore.aliasesOf`. */
export class Aliases implements AliasWriter {
  readonly tenant: string;
  readonly #parts: AliasParts;

  constructor(tenant: string, parts: AliasParts) {
    this.tenant = tenant;
    this.#parts = parts;
  }

  get(name: string): AliasRecord | undefined {
    return aliasOf(this.#parts.tables, this.tenant, name);
  }

  /** In the order of their names. */
  list(): readonly AliasRecord[] {
    return aliasesOf(this.#parts.tables, this.tenant);
  }

  /**
   * Makes or replaces an alias, in one step that is on disk when the promise resolves.
   * @throws {AppError} invalid_request, name_in_use, adapter_not_found (a target), precondition_failed, quota_exceeded
   */
  async put(name: string, change: AliasChange, precondition: Precondition = {}): Promise<AliasRecord> {
    assertAdapterName(name);
    return await this.#write(name, precondition, () => change);
  }

  /**
   * Changes an existing alias, in one step.
   * @param change receives the alias as it is then
   * @throws {AppError} alias_not_found, adapter_not_found (a target), precondition_failed, and what `change` throws
   */
  async change(
    name: string,
    precondition: Precondition,
    change: (before: AliasRecord) => AliasChange,
  ): Promise<AliasRecord> {
    return await this.#write(name, precondition, (before) => change(before ?? missingAlias(name)));
  }

  /** @throws {AppError} alias_not_found, precondition_failed */
  async delete(name: string, precondition: Precondition = {}): Promise<AliasRecord> {
    const { transactions, tables, scrubber } = this.#parts;
    const deleted = await transactions.write(() => {
      const before = this.get(name) ?? missingAlias(name);
      assertPrecondition(`Alias "${name}"`, aliasTag(before), precondition);
      void tables.aliases.remove([this.tenant, name]);
      void tables.errorSamples.remove([this.tenant, name]);
      scrubber.mark();
      return before;
    });
    scrubber.schedule();
    return deleted;
  }

  async #write(
    name: string,
    precondition: Precondition,
    change: (before: AliasRecord | undefined) => AliasChange,
  ): Promise<AliasRecord> {
    const { transactions, tables } = this.#parts;
    return await transactions.write(() => {
      const before = this.get(name);
      assertPrecondition(`Alias "${name}"`, before && aliasTag(before), precondition);
      const next = change(before);
      if (!before) assertMayBegin(name, this.list().length, tables.names.doesExist([this.tenant, name]));
      for (const target of next.targets) this.#assertExists(target);
      const stored = changedAlias(before, next, unixNow());
      void tables.aliases.put([this.tenant, name], stored);
      return { ...stored, tenant: this.tenant, name };
    });
  }

  /** Within a transaction. @throws {AppError} adapter_not_found, invalid_request */
  #assertExists(target: AliasTarget): void {
    const { tables, versions } = this.#parts;
    const { name, generation } = target;
    const stored = tables.names.get([this.tenant, name]);
    const owned = { tenant: this.tenant, name };
    const isKept = (wanted: string) =>
      stored?.generation === wanted || versions.of(owned).some((record) => record.generation === wanted);
    if (stored && (generation === null || isKept(generation))) return;
    if (this.get(name))
      throw new AppError("invalid_request", `"${name}" is an alias. An alias stands for adapters, not for aliases.`);
    throw new AppError(
      "adapter_not_found",
      `There is no adapter "${targetText(target)}" of the alias' owner. Upload it first, or name another one.`,
    );
  }
}
