/**
 * Names in a store that several servers share. This server has copies of those that it uses. A copy is compared with
 * the store before it is used, if that was done longer ago than the bound. `publisher.ts` changes names. Knows nothing
 * of engines or HTTP. Source: docs/decisions/server/0021-names-in-a-shared-store.md.
 */
import { LRUCache } from "lru-cache";
import type { Adapter } from "../../adapter/adapter.ts";
import { decodeAdapter } from "../../adapter/adapter-file.ts";
import { AppError } from "../../errors.ts";
import { damaged, type ObjectStore } from "../../object-store/object-store.ts";
import type { AdapterRecord } from "../adapter-record.ts";
import type { AdapterStore } from "../adapter-store.ts";
import { type OwnedName, qualifiedName } from "../tenant.ts";
import { CacheBound, ignoreOvertaken } from "./cache-bound.ts";
import { EmptyOwners } from "./empty-owners.ts";
import type { MirroredGeneration } from "./mirror-name.ts";
import { MAX_TOMBSTONE_BYTES, namesPrefix, type Pointer, type PublishedContent } from "./pointer.ts";
import { type PointerFound, PointerReader } from "./pointer-reader.ts";

/**
 * The outcome of a look-up of a name. hit: nothing was asked. stale: the store did not answer, and the copy was used.
 */
export type Lookup = "hit" | "unchanged" | "loaded" | "absent" | "stale" | "error";

export interface PublishedNamesOptions {
  /** A change by another server is seen after this time at the latest, in milliseconds. */
  readonly refreshMs: number;
  /** How long a copy is used while the store does not answer, in milliseconds. */
  readonly maxStaleMs: number;
  /** Bytes of copies on the disk, above which the ones that were used longest ago are removed. */
  readonly maxCacheBytes: number;
  readonly maxAdapterBytes: number;
  readonly onLookup?: (lookup: Lookup) => void;
  /** A fault that no caller sees, because a copy was used, or nobody waits. */
  readonly onFault?: (name: string, error: unknown) => void;
  /** The local copy of a name has changed. undefined: it is gone. */
  readonly onChange?: (owned: OwnedName, generation: string | undefined) => void;
}

/** The facts that are known about a name. Times are of `performance.now()`. */
interface Known {
  /** undefined: the store has no pointer. */
  readonly etag: string | undefined;
  readonly exists: boolean;
  /** Whether the local copy has all generations that the pointer names. */
  readonly isWhole: boolean;
  /** When the last successful comparison began. */
  readonly checkedAt: number;
  /** A fault of the name itself, which is not asked for again within the bound. */
  readonly fault?: AppError;
}

/** The content that a pointer names first, decoded if that was done already. */
interface CurrentContent {
  readonly bytes: Uint8Array;
  readonly adapter: Adapter | undefined;
}

const UNKNOWN: Known = { etag: undefined, exists: false, isWhole: false, checkedAt: 0 };

/** Names that are remembered. A forgotten one is compared with the store at its next use. */
const MAX_KNOWN = 50_000;
/**
 * Maximum number of reads of a pointer. It may name a content that another server has removed meanwhile. Then the
 * pointer has changed, and it is read again.
 */
const MAX_READS = 3;

export class PublishedNames {
  readonly objects: ObjectStore;
  readonly reader: PointerReader;
  readonly #store: AdapterStore;
  readonly #options: PublishedNamesOptions;
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN });
  /** Comparisons that run, by name. */
  readonly #running = new Map<string, Promise<void>>();
  readonly #cache: CacheBound;
  readonly #empty: EmptyOwners;
  readonly #startedAt = performance.now();

  constructor(objects: ObjectStore, store: AdapterStore, options: PublishedNamesOptions) {
    this.objects = objects;
    this.#store = store;
    this.#options = options;
    this.reader = new PointerReader(objects, options.maxAdapterBytes);
    this.#empty = new EmptyOwners(objects, options.refreshMs);
    this.#cache = new CacheBound(store, options.maxCacheBytes, {
      isUsed: (key) => this.#known.has(key) || this.#running.has(key) || this.#running.has(wholeOf(key)),
      usedLongestAgo: () => this.#known.rkeys(),
      forget: (key) => void this.#known.delete(key),
      onFault: (error) => options.onFault?.("", error),
    });
  }

  /**
   * Makes the local copy of a name as new as the bound says. A name that only this server has stays as it is.
   * @param isWhole whether earlier generations are needed too
   * @throws {AppError} store_unavailable, store_damaged, and the faults of an adapter's file
   */
  async refresh(owned: OwnedName, isWhole = false): Promise<void> {
    const copy = this.#copyOf(owned);
    if (copy && copy.isPublished !== true) return;
    const key = qualifiedName(owned);
    const known = this.#known.get(key);
    const age = known ? performance.now() - known.checkedAt : Infinity;
    const isHere = known && (copy !== undefined) === known.exists;
    if (
      known &&
      (isHere || known.fault) &&
      age < this.#options.refreshMs &&
      (!isWhole || known.isWhole || !known.exists)
    ) {
      if (known.fault) return this.#useCopy(copy, known.fault, known);
      this.#options.onLookup?.(known.exists ? "hit" : "absent");
      // Names in use are compared in the background before they are too old, so that no request waits for a comparison.
      if (age > this.#options.refreshMs / 2) this.#compare(owned, key, false).catch(() => {});
      return;
    }
    if (!copy && this.#empty.has(owned.tenant)) return this.#options.onLookup?.("absent");
    try {
      await this.#compare(owned, key, isWhole);
    } catch (error) {
      this.#useCopy(copy, error, known);
    }
  }

  /** Makes the local copies of a tenant's name and the shared one. The shared one counts only without the tenant's. */
  async refreshVisible(tenant: string, shared: string, name: string, isWhole: boolean): Promise<void> {
    const isOwn = () => this.#copyOf({ tenant, name }) !== undefined;
    if (isOwn()) await this.refresh({ tenant, name }, isWhole);
    if (isOwn()) return;
    const own = this.refresh({ tenant, name }, isWhole);
    const other = this.refresh({ tenant: shared, name }, isWhole);
    other.catch(() => {}); // thrown below, unless the tenant has the name
    await own;
    if (!isOwn()) await other;
  }

  /**
   * Up to `limit` names of an owner in the store, in their order, beginning after `after`.
   * @throws {AppError} store_unavailable
   */
  async list(tenant: string, range: { readonly after?: string | undefined; readonly limit: number }) {
    const prefix = namesPrefix(tenant);
    const after = range.after === undefined ? undefined : `${prefix}${range.after}`;
    const { objects, hasMore } = await this.objects.list(prefix, { after, limit: range.limit });
    const names = objects.filter(({ bytes }) => bytes > MAX_TOMBSTONE_BYTES).map(({ key }) => key.slice(prefix.length));
    return { names, last: objects.at(-1)?.key.slice(prefix.length), hasMore };
  }

  /**
   * Notes a pointer that this server has just written or read.
   * @param content of the current generation, if it is in memory
   */
  async note(
    owned: OwnedName,
    pointer: Pointer | null,
    etag: string,
    startedAt: number,
    content?: CurrentContent,
  ): Promise<void> {
    this.#empty.forget(owned.tenant);
    const result = await this.#mirror(owned, pointer, content ?? null, false);
    if (result === "gone") return this.forget(owned);
    const known = { etag, exists: pointer !== null, isWhole: result === "whole", checkedAt: startedAt };
    this.#known.set(qualifiedName(owned), known);
  }

  /** The next use of the name compares it with the store. */
  forget(owned: OwnedName): void {
    this.#empty.forget(owned.tenant);
    this.#known.delete(qualifiedName(owned));
  }

  /** Resolves when no comparison runs. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values());
    await this.#cache.settle();
  }

  /** One comparison of a name at a time. Callers share it, unless they need more than it reads. */
  async #compare(owned: OwnedName, key: string, isWhole: boolean): Promise<void> {
    const work = isWhole ? wholeOf(key) : key;
    const running = this.#running.get(work);
    if (running) return await running;
    const mine = this.#compareOnce(owned, key, isWhole).finally(() => this.#running.delete(work));
    this.#running.set(work, mine);
    await mine;
  }

  async #compareOnce(owned: OwnedName, key: string, isWhole: boolean): Promise<void> {
    const startedAt = performance.now();
    const before = this.#known.get(key);
    try {
      for (let reads = 1; ; reads++) {
        const usable = before?.exists !== true || (this.#copyOf(owned) && (!isWhole || before.isWhole));
        const found = await this.reader.pointer(owned, usable && !before?.fault ? before?.etag : undefined);
        const known = await this.#apply(owned, found, before, isWhole);
        if (known !== "gone") return this.#noteChecked(owned, key, { ...known, checkedAt: startedAt }, found);
        if (reads === MAX_READS) throw damaged(this.objects.url, `the content of ${key} is missing`);
      }
    } catch (error) {
      const isOwn = error instanceof AppError && error.code !== "store_unavailable";
      const { fault: _, ...rest } = before ?? UNKNOWN;
      if (isOwn) this.#known.set(key, { ...rest, checkedAt: startedAt, fault: error });
      if (this.#copyOf(owned)) this.#options.onFault?.(key, error);
      throw error;
    }
  }

  #noteChecked(owned: OwnedName, key: string, known: Known, found: PointerFound): void {
    this.#known.set(key, known);
    if (found === "absent") this.#empty.noteAbsent(owned.tenant);
    this.#options.onLookup?.(!known.exists ? "absent" : found === "unchanged" ? "unchanged" : "loaded");
    this.#cache.apply();
  }

  async #apply(
    owned: OwnedName,
    found: PointerFound,
    before: Known | undefined,
    isWhole: boolean,
  ): Promise<Omit<Known, "checkedAt"> | "gone"> {
    if (found === "unchanged") return before ?? UNKNOWN;
    if (found === "absent" || found.pointer === null) {
      await this.#mirror(owned, null, null, false);
      return { etag: found === "absent" ? undefined : found.etag, exists: false, isWhole: true };
    }
    const current = found.inline && { bytes: found.inline, adapter: undefined };
    const result = await this.#mirror(owned, found.pointer, current, isWhole);
    if (result === "gone") return "gone";
    return { etag: found.etag, exists: true, isWhole: result === "whole" };
  }

  /** Makes the local copy as the pointer says. @returns "gone" if a content that is needed is not in the store */
  async #mirror(owned: OwnedName, pointer: Pointer | null, current: CurrentContent | null, isWhole: boolean) {
    if (pointer === null) {
      await this.#dropCopy(owned);
      return "whole";
    }
    const here = new Set(
      this.#store
        .namesOf(owned.tenant)
        .versions(owned.name)
        .map(({ generation }) => generation),
    );
    const isMissing = ({ generation }: PublishedContent, i: number) => !here.has(generation) && (i === 0 || isWhole);
    const contents = [pointer, ...pointer.earlier];
    const files = await Promise.all(
      contents.map(async (content, i) =>
        isMissing(content, i)
          ? (i === 0 && current?.bytes) || ((await this.reader.content(owned, content)) ?? "gone")
          : null,
      ),
    );
    if (files.includes("gone")) return "gone";
    const generations = contents.map(({ generation, created }, i): MirroredGeneration => {
      const bytes = files[i] as Uint8Array | null;
      if (bytes === null) return { generation, created, file: null };
      const decoded = i === 0 ? current?.adapter : undefined;
      const adapter = decoded ?? decodeAdapter(bytes, { maxBytes: this.#options.maxAdapterBytes });
      return { generation, created, file: { bytes: Buffer.from(bytes), adapter } };
    });
    const before = this.#copyOf(owned)?.generation;
    if (!(await this.#store.mirror(owned, generations))) return "gone"; // a copy was removed meanwhile
    if (before !== pointer.generation) this.#options.onChange?.(owned, pointer.generation);
    return contents.every(({ generation }, i) => here.has(generation) || files[i] !== null) ? "whole" : "current";
  }

  async #dropCopy(owned: OwnedName): Promise<void> {
    const copy = this.#copyOf(owned);
    if (copy?.isPublished !== true) return;
    await this.#store.namesOf(owned.tenant).delete(owned.name, { ifMatch: copy.generation }).catch(ignoreOvertaken);
    this.#options.onChange?.(owned, undefined);
  }

  /** Uses the copy after a fault, if it was right not too long ago. @throws the fault otherwise */
  #useCopy(copy: AdapterRecord | undefined, error: unknown, known: Known | undefined): void {
    const rightAt = known && !known.fault ? known.checkedAt : this.#startedAt;
    const mayUse = copy !== undefined && performance.now() - rightAt < this.#options.maxStaleMs;
    this.#options.onLookup?.(mayUse ? "stale" : "error");
    if (!mayUse) throw error;
  }

  #copyOf({ tenant, name }: OwnedName): AdapterRecord | undefined {
    return this.#store.namesOf(tenant).get(name);
  }
}

/** The comparison of a name with all its generations. No name contains a space. */
const wholeOf = (key: string): string => `${key} whole`;
