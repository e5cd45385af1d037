/**
 * Adapters made ready for the graph's inputs (`adapter-row.ts`), in an LRU bounded by bytes. Running sequences hold theirs, so
 * eviction never disturbs them.
 */
import { LRUCache } from "lru-cache";
import { type BaseSignature, assertFits } from "../adapter/adapter.ts";
import { decodeAdapter } from "../adapter/adapter-file.ts";
import { AppError } from "../errors.ts";
import type { AdapterLayout } from "../model/adapter-layout.ts";
import type { AdapterContents } from "../store/adapter-contents.ts";
import type { AdapterRef } from "./protocol.ts";
import type { AdapterCache } from "./runner.ts";
import { type AdapterRow, layOutAdapter } from "./adapter-row.ts";

export interface ReadyLimits {
  readonly maxBytes: number;
  /** Highest rank of SARA and LoRA targets that is served live. */
  readonly maxLiveRank: number;
}

export class ReadyAdapters implements AdapterCache {
  readonly #layout: AdapterLayout;
  readonly #base: BaseSignature;
  readonly #contents: Pick<AdapterContents, "read">;
  readonly #limits: ReadyLimits;
  readonly #ready: LRUCache<string, AdapterRow>;
  #hits = 0;
  #misses = 0;

  constructor(
    layout: AdapterLayout,
    base: BaseSignature,
    contents: Pick<AdapterContents, "read">,
    limits: ReadyLimits,
  ) {
    this.#layout = layout;
    this.#base = base;
    this.#contents = contents;
    this.#limits = limits;
    // The LRU knows no size of 0, which here means that nothing is kept.
    this.#ready = new LRUCache({ maxSize: Math.max(1, limits.maxBytes), sizeCalculation: (row) => row.bytes });
  }

  get(ref: AdapterRef): AdapterRow {
    const known = this.#ready.get(ref.generation);
    if (known) {
      this.#hits++;
      return known;
    }
    this.#misses++;
    const bytes = ref.inlineBytes ?? this.#contents.read(ref.generation);
    if (!bytes)
      throw new AppError(
        "adapter_not_found",
        `The adapter's content ${ref.generation} is no longer in the store. Upload it again.`,
      );
    const adapter = decodeAdapter(bytes);
    assertFits(adapter, this.#base);
    const row = layOutAdapter(ref.generation, adapter, this.#layout, this.#limits.maxLiveRank);
    this.#ready.set(ref.generation, row);
    return row;
  }

  drop(generation: string): boolean {
    return this.#ready.delete(generation);
  }

  takeStats(): { bytes: number; hits: number; misses: number } {
    const stats = { bytes: this.#ready.calculatedSize, hits: this.#hits, misses: this.#misses };
    this.#hits = this.#misses = 0;
    return stats;
  }
}
