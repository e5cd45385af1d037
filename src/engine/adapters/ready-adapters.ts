/**
 * The adapters of an engine process. It keeps their rows within a bound of bytes, evicts the least recently used, and
 * carries out the orders of `adapter-state.ts`. Running sequences hold their own row, so eviction never disturbs them.
 * Another thread loads adapters (`adapter-loader.ts`). A sequence that asks too early asks again after `onReady`.
 */
import { LRUCache } from "lru-cache";
import { fromWire } from "../../errors.ts";
import type { AdapterCache, AdapterChanges } from "../contracts.ts";
import type { AdapterRef } from "../protocol.ts";
import type { LoadReply } from "./adapter-loader.ts";
import type { AdapterRow } from "./adapter-row.ts";
import { type AdapterEvent, type AdapterOrder, type AdapterState, nextState } from "./adapter-state.ts";

/** Maximum number of adapters that are set aside for sequences that have not returned for them. */
const MAX_SET_ASIDE = 8;

type Outcome = LoadReply["outcome"];

export class ReadyAdapters implements AdapterCache {
  readonly #order: (ref: AdapterRef) => void;
  readonly #states = new Map<string, AdapterState>();
  readonly #kept: LRUCache<string, AdapterRow>;
  /** Rows and failures that are set aside, the oldest first. */
  readonly #setAside = new Map<string, Outcome>();
  #onReady: () => void = () => {};
  #hits = 0;
  #misses = 0;
  #loaded: string[] = [];
  #loadSeconds: number[] = [];
  readonly #released = new Set<string>();

  /** @param order puts an adapter into the loader's queue; `receive` is called with the reply */
  constructor(order: (ref: AdapterRef) => void, maxBytes: number) {
    this.#order = order;
    this.#kept = new LRUCache({
      maxSize: Math.max(1, maxBytes), // the LRU does not accept a size of 0, which here means that nothing is kept
      sizeCalculation: (row) => row.bytes,
      disposeAfter: (_, generation, reason) => {
        if (reason === "evict") this.#handle({ generation }, "evicted");
      },
    });
  }

  get(ref: AdapterRef): AdapterRow | null {
    const { generation } = ref;
    const row = this.#kept.get(generation);
    const outcome = this.#setAside.get(generation);
    this.#handle(ref, "asked");
    if (row !== undefined) return row;
    if (outcome === undefined) return null;
    if ("error" in outcome) throw fromWire(outcome.error);
    return outcome.row;
  }

  prepare(ref: AdapterRef): void {
    this.#handle(ref, "expected");
  }

  /** Handles a reply of the loader. */
  receive({ generation, isAhead, outcome }: LoadReply): void {
    if ("row" in outcome) this.#handle({ generation }, "loaded", outcome);
    else this.#handle({ generation }, isAhead ? "load-ahead-failed" : "load-failed", outcome);
    this.#onReady();
  }

  drop(generation: string): boolean {
    const isHere = this.#kept.has(generation) || this.#setAside.has(generation);
    this.#handle({ generation }, "dropped");
    return isHere;
  }

  onReady(listener: () => void): void {
    this.#onReady = listener;
  }

  takeStats(): { bytes: number; hits: number; misses: number } {
    const stats = { bytes: this.#kept.calculatedSize, hits: this.#hits, misses: this.#misses };
    this.#hits = this.#misses = 0;
    return stats;
  }

  takeChanges(): AdapterChanges {
    const changes = { loaded: this.#loaded, loadSeconds: this.#loadSeconds, released: [...this.#released] };
    [this.#loaded, this.#loadSeconds] = [[], []];
    this.#released.clear();
    return changes;
  }

  /** @param outcome of a load that has ended */
  #handle(ref: AdapterRef, event: AdapterEvent, outcome?: Outcome): void {
    const { generation } = ref;
    const { state, orders } = nextState(this.#states.get(generation) ?? "absent", event);
    if (state === "absent") this.#states.delete(generation);
    else this.#states.set(generation, state); // first, because one of the orders may evict this adapter
    for (const order of orders) this.#execute(order, ref, outcome ?? this.#setAside.get(generation));
  }

  #execute(order: AdapterOrder, ref: AdapterRef, outcome: Outcome | undefined): void {
    const { generation } = ref;
    switch (order) {
      case "load":
        return this.#order(ref);
      case "set-aside":
        return this.#putAside(generation, outcome);
      case "keep":
        return this.#keep(generation, outcome);
      case "count-hit":
        this.#hits++;
        return;
      case "count-miss":
        this.#misses++;
        return;
      case "release":
        this.#setAside.delete(generation);
        this.#kept.delete(generation);
        this.#released.add(generation);
    }
  }

  #putAside(generation: string, outcome: Outcome | undefined): void {
    if (outcome === undefined) throw new Error("internal: there is nothing to be set aside");
    this.#setAside.set(generation, outcome);
    if ("row" in outcome) this.#noteLoaded(generation, outcome.seconds);
    const [oldest] = this.#setAside.keys();
    if (this.#setAside.size > MAX_SET_ASIDE && oldest !== undefined) this.#handle({ generation: oldest }, "evicted");
  }

  #keep(generation: string, outcome: Outcome | undefined): void {
    if (outcome === undefined || "error" in outcome) throw new Error("internal: there is no row to be kept");
    // A row that was set aside has been reported already, when it was set aside.
    if (!this.#setAside.delete(generation)) this.#noteLoaded(generation, outcome.seconds);
    this.#kept.set(generation, outcome.row);
    if (!this.#kept.has(generation)) this.#handle({ generation }, "evicted"); // larger than all that may be kept
  }

  /**
   * The adapter may have been released earlier within the same report. It is here again, so the release is not
   * reported.
   */
  #noteLoaded(generation: string, seconds: number): void {
    this.#loaded.push(generation);
    this.#loadSeconds.push(seconds);
    this.#released.delete(generation);
  }
}
