/**
 * Adapters made ready for the graph's inputs (`adapter-row.ts`), in an LRU bounded by bytes. Running sequences hold theirs, so
 * eviction never disturbs them. Making one ready takes time and is done elsewhere (`adapter-loader.ts`): whoever asks too early comes again.
 * Some come unasked, since whoever knows of a sequence first wants its adapter before the sequence is here.
 */
import { LRUCache } from "lru-cache";
import type { AdapterRef } from "../protocol.ts";
import type { AdapterCache } from "../contracts.ts";
import type { LoadAdapter } from "./adapter-loader.ts";
import type { AdapterRow } from "./adapter-row.ts";

/** Most adapters made ready ahead for which nobody has come yet. */
const MAX_AHEAD = 8;

type Outcome = { readonly row: AdapterRow } | { readonly error: unknown };

export class ReadyAdapters implements AdapterCache {
  readonly #load: LoadAdapter;
  readonly #onForgotten: (generation: string) => void;
  readonly #ready: LRUCache<string, AdapterRow>;
  /** Came unasked, and nobody has come for them yet. */
  readonly #unclaimed = new Set<string>();
  readonly #loading = new Set<string>();
  /** What became of adapters that were asked for, until somebody takes it; the oldest first. */
  readonly #ahead = new Map<string, Outcome>();
  #onReady: () => void = () => {};
  #hits = 0;
  #misses = 0;

  /** @param onForgotten told of every generation that was loaded, or came unasked, and is held no more */
  constructor(load: LoadAdapter, maxBytes: number, onForgotten: (generation: string) => void = () => {}) {
    this.#load = load;
    this.#onForgotten = onForgotten;
    this.#ready = new LRUCache({
      maxSize: Math.max(1, maxBytes), // the LRU knows no size of 0, which here means that nothing is kept
      sizeCalculation: (row) => row.bytes,
      dispose: (_, generation, reason) => {
        if (reason !== "set") this.#forget(generation);
      },
    });
  }

  get(ref: AdapterRef): AdapterRow | null {
    const { generation } = ref;
    const known = this.#ready.get(generation);
    if (known) {
      if (this.#unclaimed.delete(generation)) this.#misses++;
      else this.#hits++;
      return known;
    }
    const outcome = this.#ahead.get(generation);
    if (!outcome) {
      this.prepare(ref);
      return null;
    }
    this.#misses++;
    this.#ahead.delete(generation);
    if ("error" in outcome) throw outcome.error;
    this.#keep(generation, outcome.row);
    return outcome.row;
  }

  /** Takes in what came unasked; what does not fit is loaded when it is asked for. */
  offer(row: AdapterRow): void {
    this.#unclaimed.add(row.generation);
    this.#keep(row.generation, row);
    this.#onReady();
  }

  #keep(generation: string, row: AdapterRow): void {
    this.#ready.set(generation, row);
    if (!this.#ready.has(generation)) this.#forget(generation); // larger than all that may be kept
  }

  #forget(generation: string): void {
    this.#unclaimed.delete(generation);
    this.#onForgotten(generation);
  }

  prepare(ref: AdapterRef): void {
    const { generation } = ref;
    if (this.#ready.has(generation) || this.#ahead.has(generation) || this.#loading.has(generation)) return;
    this.#loading.add(generation);
    void this.#load(ref)
      .then(
        (row): Outcome => ({ row }),
        (error: unknown): Outcome => ({ error }),
      )
      .then((outcome) => this.#keepAhead(generation, outcome));
  }

  #keepAhead(generation: string, outcome: Outcome): void {
    if (!this.#loading.delete(generation)) return this.#forget(generation); // dropped meanwhile
    this.#ahead.set(generation, outcome);
    const [oldest] = this.#ahead.keys();
    if (this.#ahead.size > MAX_AHEAD && oldest !== undefined) {
      this.#ahead.delete(oldest);
      this.#forget(oldest);
    }
    this.#onReady();
  }

  drop(generation: string): boolean {
    this.#loading.delete(generation);
    if (this.#ahead.delete(generation)) this.#forget(generation);
    return this.#ready.delete(generation);
  }

  onReady(listener: () => void): void {
    this.#onReady = listener;
  }

  takeStats(): { bytes: number; hits: number; misses: number } {
    const stats = { bytes: this.#ready.calculatedSize, hits: this.#hits, misses: this.#misses };
    this.#hits = this.#misses = 0;
    return stats;
  }
}
