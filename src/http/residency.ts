/**
 * Which adapters are ready, by name, for the metrics. The engines know generations, the store knows the generation of a
 * name, and requests show which names are used. Knows nothing of Prometheus.
 */
import { LRUCache } from "lru-cache";
import type { Engine } from "../engine/engine.ts";
import type { ResidencyFacts, ResidentAdapter } from "../metrics/residency.ts";
import type { Placements } from "../placement/placements.ts";
import type { AdapterStore } from "../store/adapter-store.ts";

/** Maximum number of names that are remembered. An adapter whose name is forgotten is still counted. */
const MAX_NAMES = 10_000;

export class Residency {
  readonly #engine: Pick<Engine, "loadedAdapters">;
  readonly #store: Pick<AdapterStore, "get">;
  readonly #placements: Pick<Placements, "serving">;
  /** Name → the generation it was last used with. */
  readonly #used = new LRUCache<string, string>({ max: MAX_NAMES });

  constructor(
    engine: Pick<Engine, "loadedAdapters">,
    store: Pick<AdapterStore, "get">,
    placements: Pick<Placements, "serving">,
  ) {
    this.#engine = engine;
    this.#store = store;
    this.#placements = placements;
  }

  /** Notes that a request uses this name, which now means this generation. */
  note(name: string, generation: string): void {
    this.#used.set(name, generation);
  }

  facts(): ResidencyFacts {
    const { live, merged } = this.#engine.loadedAdapters();
    const names = new Map([...this.#used.entries(), ...this.#placements.serving()]); // served merged before any request
    const named: ResidentAdapter[] = [];
    for (const [name, generation] of names) {
      const isMerged = merged.has(generation); // the live engine may also have it, but gets no sequence with it
      if (isMerged || live.has(generation)) named.push({ name, generation, isMerged });
    }
    return { numLive: live.size, numMerged: merged.size, named, rankOf: (adapter) => this.#rankOf(adapter) };
  }

  #rankOf({ name, generation }: ResidentAdapter): number | null {
    const record = this.#store.get(name);
    if (record?.generation !== generation) return null;
    return record.targets.reduce((highest, { k }) => Math.max(highest, k), 0);
  }
}
