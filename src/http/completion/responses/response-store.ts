/**
 * Keeps responses that may be continued or read again, in memory, separately for each tenant. When the bytes are used
 * up, the oldest are dropped. For a tenant, another tenant's response does not exist.
 */
import { LRUCache } from "lru-cache";
import type { Item } from "./request-schema.ts";

/** A finished response. */
export interface StoredResponse {
  /** The body of the answer. */
  readonly response: { readonly id: string; readonly output: readonly Item[] };
  /** The conversation before its output, earlier turns included. */
  readonly items: readonly Item[];
  /** Of these, the number that came with earlier requests. */
  readonly numEarlier: number;
}

/** Approximate bytes of an entry besides its JSON. */
const OVERHEAD = 512;

export class ResponseStore {
  readonly #responses: LRUCache<string, StoredResponse> | null;
  /** Characters of JSON by object. Turns of a conversation share the earlier items, so each is measured once. */
  readonly #sizes = new WeakMap<object, number>();
  /** The items of stored responses by their ids, for references. */
  readonly #items = new Map<string, Item>();

  /** @param maxBytes 0: nothing is kept */
  constructor(maxBytes: number) {
    const dropItems = (entry: StoredResponse, key: string) => {
      for (const item of ownItems(entry)) this.#items.delete(keyOf(tenantOf(key), String(item.id)));
    };
    this.#responses =
      maxBytes === 0
        ? null
        : new LRUCache({
            maxSize: maxBytes,
            sizeCalculation: (entry) =>
              OVERHEAD + entry.items.reduce((sum, item) => sum + this.#sizeOf(item), this.#sizeOf(entry.response)),
            dispose: dropItems,
          });
  }

  #sizeOf(part: object): number {
    const size = this.#sizes.get(part) ?? JSON.stringify(part).length;
    this.#sizes.set(part, size);
    return size;
  }

  get keeps(): boolean {
    return this.#responses !== null;
  }

  put(tenant: string, entry: StoredResponse): void {
    const key = keyOf(tenant, entry.response.id);
    this.#responses?.set(key, entry);
    if (this.#responses?.has(key) !== true) return; // larger than the whole store
    for (const item of ownItems(entry)) this.#items.set(keyOf(tenant, String(item.id)), item);
  }

  get(tenant: string, id: string): StoredResponse | undefined {
    return this.#responses?.get(keyOf(tenant, id));
  }

  item(tenant: string, id: string): Item | undefined {
    return this.#items.get(keyOf(tenant, id));
  }

  delete(tenant: string, id: string): boolean {
    return this.#responses?.delete(keyOf(tenant, id)) === true;
  }
}

/** Items that came with the response's own request, and its output. */
function ownItems({ response, items, numEarlier }: StoredResponse): readonly Item[] {
  return [...items.slice(numEarlier), ...response.output];
}

function keyOf(tenant: string, id: string): string {
  return `${tenant}\n${id}`;
}

function tenantOf(key: string): string {
  return key.slice(0, key.lastIndexOf("\n"));
}
