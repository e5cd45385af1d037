/**
 * Changes of one owner's names in a store that several servers share. The new pointer is written on the condition that
 * the one that was read is still there, so preconditions hold between servers. If the store has no conditional writes,
 * preconditions are refused, and the last of two writers wins.
 */
import { randomUUID } from "node:crypto";
import { type DecodedFile, decodeAdapter, decodedFile, generationOf } from "../../adapter/adapter-file.ts";
import type { Adapter } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import { damaged, readOnly } from "../../object-store/object-store.ts";
import { type AdapterRecord, assertAdapterName, recordOf, unixNow } from "../adapter-record.ts";
import type { NameWriter, PutResult } from "../adapter-names.ts";
import type { AliasRecord } from "../aliases/alias-record.ts";
import { assertNoAlias, assertUnused, pinnedGenerations } from "../aliases/alias-table.ts";
import type { NamesQuota } from "../owner-totals.ts";
import { assertPrecondition, type Precondition } from "../precondition.ts";
import { notFound } from "../reference-counts.ts";
import type { OwnedName } from "../tenant.ts";
import { pickVersion, type Version } from "../version-reference.ts";
import {
  contentKey,
  encodePointer,
  encodeTombstone,
  type Pointer,
  pointerKey,
  type PublishedContent,
} from "./pointer.ts";
import type { PublishedAliases } from "./published-aliases.ts";
import type { PublishedNames } from "./published-names.ts";
import type { PointerFound } from "./pointer-reader.ts";
import { assertQuota } from "./published-quota.ts";

/** Maximum number of attempts at a change. An attempt fails if another writer of the same name was first. */
const MAX_TRIES = 8;

export interface PublisherOptions {
  readonly maxAdapterBytes: number;
  readonly keepGenerations: number;
  /** A content that is no longer needed could not be removed, or the local copy could not be made. */
  readonly onFault: (name: string, error: unknown) => void;
}

interface PublishedParts {
  readonly names: PublishedNames;
  readonly aliases: PublishedAliases;
}

/** The pointer that a change makes from the one that it has read. */
interface Planned {
  readonly pointer: Pointer | null;
  /** Bytes of the current content. */
  readonly content: Uint8Array;
  /** The same, decoded, where that was done. */
  readonly adapter?: Adapter;
}

export class Publisher implements NameWriter {
  readonly #tenant: string;
  readonly #names: PublishedNames;
  readonly #aliases: PublishedAliases;
  readonly #quota: NamesQuota;
  readonly #options: PublisherOptions;

  constructor(tenant: string, { names, aliases }: PublishedParts, quota: NamesQuota, options: PublisherOptions) {
    this.#tenant = tenant;
    this.#names = names;
    this.#aliases = aliases;
    this.#quota = quota;
    this.#options = options;
  }

  /** As `AdapterNames.put`. @throws {AppError} also store_unavailable, store_damaged, precondition_unsupported */
  async put(name: string, file: Uint8Array | DecodedFile, precondition: Precondition = {}): Promise<PutResult> {
    assertAdapterName(name);
    const { bytes, adapter } = decodedFile(file, { maxBytes: this.#options.maxAdapterBytes });
    const content = Buffer.from(bytes);
    const generation = generationOf(content);
    const owned = { tenant: this.#tenant, name };
    let object: string | null = null;
    const { before, pointer } = await this.#change(owned, precondition, async (found, write, aliases) => {
      if (found?.generation === generation) return { pointer: found, content, adapter };
      const alias = aliases.find((one) => one.name === name);
      if (!found) assertNoAlias(name, alias);
      await assertQuota(this.#names, this.#tenant, this.#quota, { isNew: found === null, bytes: content.byteLength });
      // The content first: a pointer never names a content that is not there.
      object ??= await this.#putContent(contentKey(owned, generation, write), content);
      const current = { generation, object, bytes: content.byteLength, created: unixNow() };
      const earlier = this.#earlier(found, generation, pinnedGenerations(aliases, name));
      const pointer = { ...current, write, card: adapter.card, earlier };
      return { pointer, content, adapter };
    });
    const isSame = before?.generation === generation;
    const outcome = isSame ? "unchanged" : before ? "replaced" : "created";
    return { record: recordFrom(owned, pointer, content, adapter), outcome, replaced: before?.generation };
  }

  /** As `AdapterNames.restore`. */
  async restore(name: string, version: Version, precondition: Precondition = {}): Promise<PutResult> {
    assertAdapterName(name);
    const owned = { tenant: this.#tenant, name };
    const planned = await this.#change(owned, precondition, async (found, write, aliases) => {
      const { existing, chosen } = chosenFrom(found, name, version);
      const bytes = await this.#names.reader.content(owned, chosen);
      if (!bytes) throw damaged(this.#names.objects.url, `the content of ${name}@${chosen.generation} is missing`);
      const adapter = decodeAdapter(bytes, { maxBytes: this.#options.maxAdapterBytes });
      if (chosen.generation === existing.generation) return { pointer: existing, content: bytes, adapter };
      const { generation, object, bytes: size } = chosen;
      const current = { generation, object, bytes: size, created: unixNow() };
      const earlier = this.#earlier(existing, generation, pinnedGenerations(aliases, name));
      const pointer = { ...current, write, card: adapter.card, earlier };
      return { pointer, content: bytes, adapter };
    });
    const { before, pointer, content, adapter } = planned;
    const outcome = before?.generation === pointer.generation ? "unchanged" : "replaced";
    return { record: recordFrom(owned, pointer, content, adapter), outcome, replaced: before?.generation };
  }

  /** As `AdapterNames.delete`. A mark stays in the place of the pointer. */
  async delete(name: string, precondition: Precondition = {}): Promise<void> {
    assertAdapterName(name);
    await this.#change({ tenant: this.#tenant, name }, precondition, async (found, _, aliases) => {
      if (!found) missing(`adapter "${name}"`);
      assertUnused(aliases, name, () => true);
      return { pointer: null, content: new Uint8Array() };
    });
  }

  /** As `AdapterNames.deleteVersion`. @param precondition on the generation that is deleted */
  async deleteVersion(name: string, version: Version, precondition: Precondition = {}): Promise<void> {
    const owned = { tenant: this.#tenant, name };
    await this.#change(owned, {}, async (found, write, aliases) => {
      const { existing, chosen } = chosenFrom(found, name, version);
      assertPrecondition(`Adapter "${name}"`, chosen.generation, precondition);
      if (chosen.generation === existing.generation)
        throw new AppError(
          "generation_in_use",
          `"${name}" points to the generation ${chosen.generation}. Roll the name back first, or delete it whole.`,
        );
      assertUnused(aliases, name, ({ generation }) => generation === chosen.generation);
      const earlier = existing.earlier.filter(({ generation }) => generation !== chosen.generation);
      const content = await this.#names.reader.content(owned, existing);
      if (!content) throw damaged(this.#names.objects.url, `the content of ${name} is missing`);
      return { pointer: { ...existing, write, earlier }, content };
    });
  }

  /** Reads the pointer, plans, and writes, until no other writer has written in between. */
  async #change<P extends Planned>(
    owned: OwnedName,
    precondition: Precondition,
    plan: (found: Pointer | null, write: string, aliases: readonly AliasRecord[]) => Promise<P>,
  ): Promise<P & { readonly before: Pointer | null }> {
    const { objects } = this.#names;
    const isConditional = await this.#isConditional(precondition);
    const write = randomUUID();
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const startedAt = performance.now();
      const [found, aliases] = await Promise.all([
        this.#read(owned, precondition),
        this.#aliases.current(this.#tenant),
      ]);
      const known = typeof found === "string" ? null : found;
      const before = known?.pointer ?? null;
      this.#names.forget(owned); // a caller who is refused reads the name again, and must find what decided
      assertPrecondition(`Adapter "${owned.name}"`, before?.generation, precondition);
      const planned = await plan(before, write, aliases);
      const { pointer } = planned;
      if (pointer !== null && pointer === before) {
        await this.#note(owned, pointer, known?.etag ?? "", startedAt, planned);
        return { ...planned, before };
      }
      const bytes = pointer ? encodePointer(owned, pointer, planned.content) : encodeTombstone(write);
      const condition =
        !isConditional || found === "damaged"
          ? null
          : known
            ? { ifMatch: known.etag }
            : ({ ifNoneMatch: "*" } as const);
      const written = await objects.put(pointerKey(owned), bytes, condition);
      const etag = written === "conflict" ? await this.#etagIfOwn(owned, write) : written.etag;
      if (etag === null) continue;
      await this.#note(owned, pointer, etag, performance.now(), planned);
      this.#removeContents(owned, before, pointer);
      return { ...planned, before };
    }
    throw new AppError(
      "overloaded",
      `Other servers changed the adapter "${owned.name}" during each of ${MAX_TRIES} attempts. Send the change again.`,
      { retryAfterSeconds: 1 },
    );
  }

  /**
   * A damaged pointer can be replaced, because a replacement mends it. A precondition on it cannot be checked, so it is
   * refused.
   */
  async #read(owned: OwnedName, { ifMatch, ifNoneMatch }: Precondition): Promise<PointerFound | "damaged"> {
    try {
      return await this.#names.reader.pointer(owned);
    } catch (error) {
      const isDamaged = error instanceof AppError && error.code === "store_damaged";
      if (!isDamaged || ifMatch !== undefined || ifNoneMatch !== undefined) throw error;
      return "damaged";
    }
  }

  /** A write may have happened although its answer was lost. Then the second attempt is refused. */
  async #etagIfOwn(owned: OwnedName, write: string): Promise<string | null> {
    const found = await this.#names.reader.pointer(owned);
    return typeof found !== "string" && found.write === write ? found.etag : null;
  }

  /** @throws {AppError} store_read_only, precondition_unsupported */
  async #isConditional({ ifMatch, ifNoneMatch }: Precondition): Promise<boolean> {
    const { objects } = this.#names;
    if (!objects.isWritable) throw readOnly(objects.url);
    const isConditional = await objects.hasConditionalWrites();
    if (!isConditional && (ifMatch !== undefined || ifNoneMatch !== undefined))
      throw new AppError(
        "precondition_unsupported",
        `The adapter store ${objects.url} has no conditional writes, so a precondition cannot be kept. Send the change without If-Match and If-None-Match.`,
      );
    return isConditional;
  }

  async #putContent(key: string, content: Uint8Array): Promise<string> {
    await this.#names.objects.put(key, content, null);
    return key;
  }

  /** The generations that the name keeps after its current one: the newest ones, and those that aliases need. */
  #earlier(found: Pointer | null, current: string, pinned: ReadonlySet<string>): readonly PublishedContent[] {
    if (!found) return [];
    const { generation, object, bytes, created, earlier } = found;
    const others = [{ generation, object, bytes, created }, ...earlier].filter((one) => one.generation !== current);
    return others.filter((one, i) => i < this.#options.keepGenerations - 1 || pinned.has(one.generation));
  }

  /** Makes the local copy. The change has happened in any case, so a fault here does not fail the change. */
  async #note(owned: OwnedName, pointer: Pointer | null, etag: string, startedAt: number, planned: Planned) {
    try {
      const { content: bytes, adapter } = planned;
      await this.#names.note(owned, pointer, etag, startedAt, pointer ? { bytes, adapter } : undefined);
    } catch (error) {
      this.#names.forget(owned);
      this.#options.onFault(owned.name, error);
    }
  }

  /** Removes the contents that the name no longer has, without making the caller wait. */
  #removeContents(owned: OwnedName, before: Pointer | null, after: Pointer | null): void {
    const objectsOf = (pointer: Pointer | null) =>
      pointer ? [pointer, ...pointer.earlier].map(({ object }) => object) : [];
    const needed = new Set(objectsOf(after));
    for (const object of objectsOf(before))
      if (!needed.has(object))
        this.#names.objects.remove(object).catch((error: unknown) => this.#options.onFault(owned.name, error));
  }
}

/** The generation of a name that a caller means. @throws {AppError} adapter_not_found, ambiguous_generation */
function chosenFrom(found: Pointer | null, name: string, version: Version) {
  const existing = found ?? missing(`adapter "${name}"`);
  const chosen = pickVersion(name, version, [existing, ...existing.earlier]) ?? missing(`such generation of "${name}"`);
  return { existing, chosen };
}

/** The record of the content that a pointer names. */
function recordFrom(
  owned: OwnedName,
  { generation, created }: Pointer,
  content: Uint8Array,
  adapter: Adapter,
): AdapterRecord {
  return { ...recordOf(owned, generation, content.byteLength, adapter), created, isPublished: true };
}

function missing(what: string): never {
  throw new AppError("adapter_not_found", notFound(what));
}
