/** Adapters that came with requests, remembered for their tenant alone, so that a later request may name their hash. */
import { LRUCache } from "lru-cache";
import type { Card } from "../../../adapter/adapter.ts";

export interface InlineAdapter {
  readonly generation: string;
  readonly bytes: Uint8Array;
  readonly card: Card;
  readonly endTokenIds: readonly number[];
}

export class InlineAdapters {
  readonly #maxBytes: number;
  readonly #byTenant = new Map<string, LRUCache<string, InlineAdapter>>();

  /** @param maxBytes of each tenant's adapters; 0: none is remembered */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  remember(tenant: string, adapter: InlineAdapter): void {
    if (this.#maxBytes === 0) return;
    const known =
      this.#byTenant.get(tenant) ??
      new LRUCache<string, InlineAdapter>({
        maxSize: this.#maxBytes,
        sizeCalculation: ({ bytes }) => bytes.byteLength,
      });
    this.#byTenant.set(tenant, known);
    known.set(adapter.generation, adapter);
  }

  find(tenant: string, generation: string): InlineAdapter | undefined {
    return this.#byTenant.get(tenant)?.get(generation);
  }
}
