/**
 * Which adapters are ready, by name, for the metrics. The engines know generations, the store knows the generation of a
 * name, and requests show which names are used. Knows nothing of Prometheus.
 */
import { LRUCache } from "lru-cache";
import type { Engine } from "../engine/engine.ts";
import type { ResidencyFacts, ResidentAdapter } from "../metrics/residency.ts";
import type { Placements } from "../placement/placements.ts";
import type { AdapterLabel } from "../metrics/metric-spec.ts";
import type { AdapterStore } from "../store/adapter-store.ts";
import { type OwnedName, partsOfQualifiedName } from "../store/tenant.ts";

/** Maximum number of names that are remembered. An adapter whose name is forgotten is still counted. */
const MAX_NAMES = 10_000;

export class Residency {
  readonly #engine: Pick<Engine, "loadedAdapters">;
  readonly #store: Pick<AdapterStore, "namesOf">;
  readonly #labelOf: (owned: OwnedName) => AdapterLabel;
  readonly #placements: Pick<Placements, "serving">;
  /** Qualified name → the generation it was last used with. */
  readonly #used = new LRUCache<string, string>({ max: MAX_NAMES });

  constructor(
    engine: Pick<Engine, "loadedAdapters">,
    store: Pick<AdapterStore, "namesOf">,
    placements: Pick<Placements, "serving">,
    labelOf: (owned: OwnedName) => AdapterLabel,
  ) {
    this.#labelOf = labelOf;
    this.#engine = engine;
    this.#store = store;
    this.#placements = placements;
  }

  /** Notes that a request uses this qualified name, which now means this generation. */
  note(name: string, generation: string): void {
    this.#used.set(name, generation);
  }

  facts(): ResidencyFacts {
    const { live, merged } = this.#engine.loadedAdapters();
    const names = new Map([...this.#used.entries(), ...this.#placements.serving()]); // served merged before any request
    const named: ResidentAdapter[] = [];
    for (const [name, generation] of names) {
      const isMerged = merged.has(generation); // the live engine may also have it, but gets no sequence with it
      if (isMerged || live.has(generation))
        named.push({ ...this.#labelOf(partsOfQualifiedName(name)), qualifiedName: name, generation, isMerged });
    }
    return { numLive: live.size, numMerged: merged.size, named, rankOf: (adapter) => this.#rankOf(adapter) };
  }

  /** Qualified names of the adapters that are ready, of those that were used most recently. */
  names(): readonly string[] {
    const { named } = this.facts();
    return named.filter((adapter) => this.#rankOf(adapter) !== null).map(({ qualifiedName }) => qualifiedName);
  }

  #rankOf({ qualifiedName, generation }: ResidentAdapter): number | null {
    const { tenant, name } = partsOfQualifiedName(qualifiedName);
    const record = this.#store.namesOf(tenant).get(name);
    if (record?.generation !== generation) return null;
    return record.targets.reduce((highest, { k }) => Math.max(highest, k), 0);
  }
}
