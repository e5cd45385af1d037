/**
 * Owners without a single name in a store. A server without a copy asks for the tenant's name and for the shared one at
 * once, and most servers have all names in one of the two places. After several names of an owner that are not there, a
 * list of one name says whether any is. Knows nothing of copies.
 */
import { LRUCache } from "lru-cache";
import type { ObjectStore } from "../../object-store/object-store.ts";
import { namesPrefix } from "./pointer.ts";

/** Times are of `performance.now()`. */
interface Owner {
  /** Names that were not there, since the last list. */
  numAbsent: number;
  /** When the list began that had no name; null: nobody has asked, or it had one. */
  emptyAt: number | null;
  isAsking: boolean;
}

/** A list must save several requests. */
const ABSENT_UNTIL_ASKED = 8;
/** Owners that are remembered. */
const MAX_OWNERS = 10_000;

export class EmptyOwners {
  readonly #objects: ObjectStore;
  readonly #boundMs: number;
  readonly #owners = new LRUCache<string, Owner>({ max: MAX_OWNERS });

  /** @param boundMs an owner counts as empty for so long after it was */
  constructor(objects: ObjectStore, boundMs: number) {
    this.#objects = objects;
    this.#boundMs = boundMs;
  }

  /** Whether the owner had no name within the bound. */
  has(tenant: string): boolean {
    const owner = this.#owners.get(tenant);
    if (!owner || owner.emptyAt === null) return false;
    const age = performance.now() - owner.emptyAt;
    if (age > this.#boundMs / 2) void this.#ask(tenant, owner); // before requests have to be sent again
    return age < this.#boundMs;
  }

  /** A name of the owner is not in the store. */
  noteAbsent(tenant: string): void {
    if (!this.#objects.hasQuickLists) return;
    const owner = this.#owners.get(tenant) ?? { numAbsent: 0, emptyAt: null, isAsking: false };
    this.#owners.set(tenant, owner);
    owner.numAbsent += 1;
    if (owner.numAbsent >= ABSENT_UNTIL_ASKED) void this.#ask(tenant, owner);
  }

  /** This server has changed a name of the owner. */
  forget(tenant: string): void {
    this.#owners.delete(tenant);
  }

  /** Never throws: without an answer, names are asked for as ever. */
  async #ask(tenant: string, owner: Owner): Promise<void> {
    if (owner.isAsking) return;
    const startedAt = performance.now();
    owner.isAsking = true;
    owner.numAbsent = 0;
    const found = await this.#objects.list(namesPrefix(tenant), { limit: 1 }).catch(() => null);
    owner.isAsking = false;
    // If the owner was forgotten meanwhile, nobody reads this any more.
    if (found) owner.emptyAt = found.objects.length === 0 ? startedAt : null;
  }
}
