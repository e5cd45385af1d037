/**
 * Aliases in a store that several servers share. This server has a copy of all aliases of an owner that it uses. The
 * copy is compared with the store as names are (`published-names.ts`). `alias-publisher.ts` changes aliases.
 */
import { LRUCache } from "lru-cache";
import { AppError } from "../../errors.ts";
import { damaged, type ObjectStore } from "../../object-store/object-store.ts";
import type { AdapterStore } from "../adapter-store.ts";
import type { AliasRecord } from "../aliases/alias-record.ts";
import { type AliasList, aliasListKey, decodeAliasList, MAX_LIST_BYTES } from "./alias-list.ts";

export interface PublishedAliasesOptions {
  /** A change by another server is seen after this time at the latest, in milliseconds. */
  readonly refreshMs: number;
  /** How long a copy is used while the store does not answer, in milliseconds. */
  readonly maxStaleMs: number;
  /** A fault that no caller sees, because a copy was used. */
  readonly onFault?: (name: string, error: unknown) => void;
}

/** The list as it was read. etag: undefined where the store has none. */
export interface ReadList {
  readonly list: AliasList;
  readonly etag: string | undefined;
}

/** Times are of `performance.now()`. */
interface Known {
  readonly etag: string | undefined;
  /** When the last successful comparison began; null: there was none. */
  readonly checkedAt: number | null;
  /** A fault of the list itself, which is not asked for again within the bound, and when it was found. */
  readonly damage?: { readonly error: unknown; readonly at: number };
}

/** Owners that are remembered. A forgotten one is compared with the store at its next use. */
const MAX_KNOWN = 10_000;

export class PublishedAliases {
  readonly objects: ObjectStore;
  readonly #store: AdapterStore;
  readonly #options: PublishedAliasesOptions;
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN });
  /** When the comparison or write began whose list is the copy. */
  readonly #newest = new LRUCache<string, number>({ max: MAX_KNOWN });
  readonly #running = new Map<string, Promise<void>>();
  readonly #startedAt = performance.now();

  constructor(objects: ObjectStore, store: AdapterStore, options: PublishedAliasesOptions) {
    this.objects = objects;
    this.#store = store;
    this.#options = options;
  }

  /**
   * Makes the copy of an owner's aliases as new as the bound says.
   * @throws {AppError} store_unavailable, store_damaged: there is no copy that may be used
   */
  async refresh(tenant: string): Promise<void> {
    const known = this.#known.get(tenant);
    const lastAt = known?.damage?.at ?? known?.checkedAt ?? -Infinity;
    const age = performance.now() - lastAt;
    if (age < this.#options.refreshMs) {
      if (known?.damage) this.#useCopy(tenant, known.damage.error);
      // As for names: a comparison in the background, before anybody has to wait for one.
      else if (age > this.#options.refreshMs / 2) this.#compare(tenant).catch(() => {});
      return;
    }
    try {
      await this.#compare(tenant);
    } catch (error) {
      this.#useCopy(tenant, error);
    }
  }

  /** All aliases of an owner as the store has them now. @throws {AppError} store_unavailable, store_damaged */
  async current(tenant: string): Promise<readonly AliasRecord[]> {
    await this.#compareOnce(tenant);
    return this.#store.aliasesOf(tenant).list();
  }

  /** Reads the list, and keeps nothing. @throws {AppError} store_unavailable, store_damaged */
  async read(tenant: string): Promise<ReadList> {
    const found = await this.#get(tenant, undefined);
    return found === "unchanged" ? { list: EMPTY, etag: undefined } : found;
  }

  /** Makes the copy as a list that this server has just read or written. */
  async note(tenant: string, list: AliasList, etag: string | undefined, startedAt: number): Promise<void> {
    if (startedAt < (this.#newest.get(tenant) ?? 0)) return; // a comparison that has been overtaken
    this.#newest.set(tenant, startedAt);
    await this.#store.mirrorAliases(tenant, list.aliases);
    this.#known.set(tenant, { etag, checkedAt: startedAt });
  }

  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values());
  }

  /** One comparison of an owner at a time. */
  async #compare(tenant: string): Promise<void> {
    const running = this.#running.get(tenant);
    if (running) return await running;
    const mine = this.#compareOnce(tenant).finally(() => this.#running.delete(tenant));
    this.#running.set(tenant, mine);
    await mine;
  }

  async #compareOnce(tenant: string): Promise<void> {
    const startedAt = performance.now();
    const { etag, checkedAt = null } = this.#known.get(tenant) ?? {};
    try {
      const found = await this.#get(tenant, etag);
      if (found === "unchanged") this.#known.set(tenant, { etag, checkedAt: startedAt });
      else await this.note(tenant, found.list, found.etag, startedAt);
    } catch (error) {
      const isDamage = error instanceof AppError && error.code !== "store_unavailable";
      if (isDamage) this.#known.set(tenant, { etag, checkedAt, damage: { error, at: startedAt } });
      this.#options.onFault?.(aliasListKey(tenant), error);
      throw error;
    }
  }

  /** Uses the copy after a fault, if it was right not too long ago. @throws the fault otherwise */
  #useCopy(tenant: string, error: unknown): void {
    const checkedAt = this.#known.get(tenant)?.checkedAt ?? null;
    const hasCopy = () =>
      this.#store
        .aliasesOf(tenant)
        .list()
        .some(({ isPublished }) => isPublished === true);
    const rightAt = checkedAt ?? (hasCopy() ? this.#startedAt : -Infinity);
    if (performance.now() - rightAt >= this.#options.maxStaleMs) throw error;
  }

  async #get(tenant: string, etag: string | undefined): Promise<ReadList | "unchanged"> {
    const found = await this.objects.get(aliasListKey(tenant), { etag, maxBytes: MAX_LIST_BYTES });
    if (found === "unchanged") return found;
    if (found === "absent") return { list: EMPTY, etag: undefined };
    const list = decodeAliasList(tenant, found.bytes);
    if (typeof list === "string") throw damaged(this.objects.url, `the list of aliases of ${tenant} is wrong: ${list}`);
    return { list, etag: found.etag };
  }
}

const EMPTY: AliasList = { write: "", aliases: new Map() };
