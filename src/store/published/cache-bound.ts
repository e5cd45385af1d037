/**
 * Keeps the local copies of published names below a number of bytes: those that were used longest ago are removed
 * first.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "../../errors.ts";
import type { AdapterStore } from "../adapter-store.ts";
import { type OwnedName, partsOfQualifiedName, qualifiedName } from "../tenant.ts";

/** The names that were used since the start, by their qualified names. */
export interface UsedNames {
  readonly isUsed: (key: string) => boolean;
  readonly usedLongestAgo: () => Iterable<string>;
  readonly forget: (key: string) => void;
  readonly onFault: (error: unknown) => void;
}

const PAGE = 256;
/** Share of the bound. A removal frees this much more than it must, so that not every new copy removes an old one. */
const HEADROOM = 0.1;

export class CacheBound {
  readonly #store: AdapterStore;
  readonly #maxBytes: number;
  readonly #used: UsedNames;
  #running: Promise<void> | null = null;

  constructor(store: AdapterStore, maxBytes: number, used: UsedNames) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#used = used;
  }

  /** Removes copies in the background, if there are too many bytes. */
  apply(): void {
    if (this.#running || this.#store.totalBytes() <= this.#maxBytes) return;
    this.#running = this.#remove().then(
      (numRemoved) => this.#end(numRemoved),
      (error: unknown) => {
        this.#running = null;
        this.#used.onFault(error);
      },
    );
  }

  async settle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Names may have come while others were removed. */
  #end(numRemoved: number): void {
    this.#running = null;
    if (numRemoved > 0) this.apply();
  }

  /** @returns how many were removed */
  async #remove(): Promise<number> {
    let numRemoved = 0;
    const goal = this.#maxBytes * (1 - HEADROOM);
    for await (const owned of this.#candidates()) {
      if (this.#store.totalBytes() <= goal) break;
      const names = this.#store.namesOf(owned.tenant);
      const copy = names.get(owned.name);
      if (copy?.isPublished !== true) continue;
      this.#used.forget(qualifiedName(owned));
      await names.delete(owned.name, { ifMatch: copy.generation }).catch(ignoreOvertaken);
      numRemoved += 1;
    }
    return numRemoved;
  }

  /** Names that were not used since the start, then the others. */
  async *#candidates(): AsyncGenerator<OwnedName> {
    for (let after: readonly [string, string] | null = null; ; await nextTurn()) {
      const { published, next } = this.#store.publishedPage(after, PAGE);
      for (const owned of published) if (!this.#used.isUsed(qualifiedName(owned))) yield owned;
      if (next === null) break;
      after = next;
    }
    for (const key of Array.from(this.#used.usedLongestAgo())) yield partsOfQualifiedName(key);
  }
}

/** Ignores the error of a removal whose copy has changed meanwhile. Throws every other error. */
export function ignoreOvertaken(error: unknown): void {
  const isOvertaken =
    error instanceof AppError && /^(precondition_failed|adapter_not_found|generation_in_use)$/.test(error.code);
  if (!isOvertaken) throw error;
}
