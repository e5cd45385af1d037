/** Adapters by number. Each one has content of its own, and few of them are kept in memory. */
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import type { Adapter } from "../../src/adapter/adapter.ts";
import type { Manifest } from "../../src/base/manifest.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";

/** Adapters with different answers. All others are these with another card. */
const NUM_DISTINCT = 97;

export interface Content {
  readonly number: number;
  readonly generation: string;
}

export class Contents {
  readonly #manifest: Manifest;
  readonly #distinct = new Map<number, Adapter>();

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
  }

  bytesOf(number: number): Uint8Array {
    const kind = number % NUM_DISTINCT;
    const adapter = this.#distinct.get(kind) ?? randomAdapter(this.#manifest, kind);
    this.#distinct.set(kind, adapter);
    return encodeAdapter({ ...adapter, card: { ...adapter.card, number } });
  }

  make(number: number): Content & { readonly bytes: Uint8Array } {
    const bytes = this.bytesOf(number);
    return { number, bytes, generation: generationOf(bytes) };
  }
}
