/**
 * Changes of one owner's aliases in a store that several servers share. The whole list is written on the condition that
 * the one that was read is still there, so preconditions hold between servers. Without conditional writes, one server
 * would undo another one's change of another alias, so a change is refused then.
 */
import { randomUUID } from "node:crypto";
import { AppError } from "../../errors.ts";
import { readOnly } from "../../object-store/object-store.ts";
import { assertAdapterName, unixNow } from "../adapter-record.ts";
import { type AliasTarget, aliasTag, type StoredAlias, targetText } from "../aliases/alias-record.ts";
import {
  type AliasChange,
  type AliasWriter,
  assertMayBegin,
  changedAlias,
  missingAlias,
} from "../aliases/alias-change.ts";
import type { AliasRecord } from "../aliases/alias-record.ts";
import { type Precondition, assertPrecondition } from "../precondition.ts";
import { aliasListKey, encodeAliasList } from "./alias-list.ts";
import type { PublishedAliases } from "./published-aliases.ts";
import type { PublishedNames } from "./published-names.ts";

/** Maximum number of attempts at a change. An attempt fails if another writer of the owner's aliases was first. */
const MAX_TRIES = 8;

type Aliases = ReadonlyMap<string, StoredAlias>;

export class AliasPublisher implements AliasWriter {
  readonly #tenant: string;
  readonly #aliases: PublishedAliases;
  readonly #names: PublishedNames;

  constructor(tenant: string, aliases: PublishedAliases, names: PublishedNames) {
    this.#tenant = tenant;
    this.#aliases = aliases;
    this.#names = names;
  }

  /** As `Aliases.put`. @throws {AppError} also store_unavailable, store_damaged, precondition_unsupported */
  async put(name: string, change: AliasChange, precondition: Precondition = {}): Promise<AliasRecord> {
    assertAdapterName(name);
    return await this.#set(name, precondition, () => change);
  }

  /** As `Aliases.change`. */
  async change(
    name: string,
    precondition: Precondition,
    change: (before: AliasRecord) => AliasChange,
  ): Promise<AliasRecord> {
    return await this.#set(name, precondition, (before) => change(before ?? missingAlias(name)));
  }

  /** As `Aliases.delete`. */
  async delete(name: string, precondition: Precondition = {}): Promise<AliasRecord> {
    return await this.#write((aliases) => {
      const before = this.#recordOf(name, aliases) ?? missingAlias(name);
      assertPrecondition(`Alias "${name}"`, aliasTag(before), precondition);
      return { result: before, after: new Map([...aliases].filter(([other]) => other !== name)) };
    });
  }

  async #set(
    name: string,
    precondition: Precondition,
    change: (before: AliasRecord | undefined) => AliasChange,
  ): Promise<AliasRecord> {
    return await this.#write(async (aliases) => {
      const before = this.#recordOf(name, aliases);
      assertPrecondition(`Alias "${name}"`, before && aliasTag(before), precondition);
      const next = change(before);
      if (!before) assertMayBegin(name, aliases.size, await this.#isAdapter(name));
      await Promise.all(next.targets.map(async (target) => await this.#assertExists(target, aliases)));
      const stored = changedAlias(before, next, unixNow());
      return {
        result: { ...stored, tenant: this.#tenant, name, isPublished: true },
        after: new Map([...aliases, [name, stored]]),
      };
    });
  }

  /** Reads the list, plans, and writes, until no other writer has written in between. */
  async #write<T>(plan: (aliases: Aliases) => Planned<T> | Promise<Planned<T>>): Promise<T> {
    await this.#assertWritable();
    const { objects } = this.#aliases;
    const write = randomUUID();
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { list, etag } = await this.#aliases.read(this.#tenant);
      const { result, after } = await plan(list.aliases);
      const next = { write, aliases: after };
      const condition = etag === undefined ? ({ ifNoneMatch: "*" } as const) : { ifMatch: etag };
      const written = await objects.put(aliasListKey(this.#tenant), encodeAliasList(this.#tenant, next), condition);
      const own = written === "conflict" ? await this.#etagIfOwn(write) : written.etag;
      if (own === null) continue;
      await this.#aliases.note(this.#tenant, next, own, performance.now());
      return result;
    }
    throw new AppError(
      "overloaded",
      `Other servers changed the aliases of "${this.#tenant}" during each of ${MAX_TRIES} attempts. Send the change again.`,
      { retryAfterSeconds: 1 },
    );
  }

  /** A write may have happened although its answer was lost. Then the second attempt is refused. */
  async #etagIfOwn(write: string): Promise<string | null> {
    const { list, etag } = await this.#aliases.read(this.#tenant);
    return list.write === write && etag !== undefined ? etag : null;
  }

  /** @throws {AppError} store_read_only, precondition_unsupported */
  async #assertWritable(): Promise<void> {
    const { objects } = this.#aliases;
    if (!objects.isWritable) throw readOnly(objects.url);
    if (await objects.hasConditionalWrites()) return;
    throw new AppError(
      "precondition_unsupported",
      `The adapter store ${objects.url} has no conditional writes, so aliases cannot be changed in it. Name the adapter or one of its generations instead.`,
    );
  }

  async #isAdapter(name: string): Promise<boolean> {
    const found = await this.#names.reader.pointer({ tenant: this.#tenant, name });
    return typeof found !== "string" && found.pointer !== null;
  }

  /** @throws {AppError} adapter_not_found, invalid_request */
  async #assertExists(target: AliasTarget, aliases: Aliases): Promise<void> {
    const { name, generation } = target;
    const found = await this.#names.reader.pointer({ tenant: this.#tenant, name });
    const pointer = typeof found === "string" ? null : found.pointer;
    const isKept = (wanted: string) =>
      pointer !== null && [pointer, ...pointer.earlier].some((one) => one.generation === wanted);
    if (pointer && (generation === null || isKept(generation))) return;
    if (aliases.has(name))
      throw new AppError("invalid_request", `"${name}" is an alias. An alias stands for adapters, not for aliases.`);
    throw new AppError(
      "adapter_not_found",
      `The store ${this.#aliases.objects.url} has no adapter "${targetText(target)}" of the alias' owner. Upload it first, or name another one.`,
    );
  }

  #recordOf(name: string, aliases: Aliases): AliasRecord | undefined {
    const stored = aliases.get(name);
    return stored && { ...stored, tenant: this.#tenant, name, isPublished: true };
  }
}

interface Planned<T> {
  readonly result: T;
  readonly after: Aliases;
}
