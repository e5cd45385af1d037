/** The metrics of adapters that are ready: how many there are, how many there can be, and the busiest by name. */
import type { Gauge } from "prom-client";
import type { AdapterLabel } from "./metric-spec.ts";

const MAX_NAMED = 100;

/** A ready adapter, under one of its names. */
export interface ResidentAdapter extends AdapterLabel {
  /** Name and owner, for `rankOf`. */
  readonly qualifiedName: string;
  readonly generation: string;
  readonly isMerged: boolean;
}

/** The adapters that are ready at the moment of a scrape. */
export interface ResidencyFacts {
  /** Laid out in the live engine, with or without a name. */
  readonly numLive: number;
  /** Merged into the weights of engines of their own. */
  readonly numMerged: number;
  /** Ready adapters that have a name, the last used first. */
  readonly named: readonly ResidentAdapter[];
  /** The highest rank of its targets; null if the name is gone or now means other content. */
  readonly rankOf: (adapter: ResidentAdapter) => number | null;
}

/** @param requestsOf how busy a name was; among equals, the last used comes first */
export function setLoadedAdapters(
  gauge: Gauge,
  { named, rankOf }: ResidencyFacts,
  requestsOf: (adapter: AdapterLabel) => number,
): void {
  gauge.reset();
  const byRequests = named
    .map((adapter) => ({ adapter, requests: requestsOf(adapter) }))
    .sort((a, b) => b.requests - a.requests);
  let numNamed = 0;
  for (const { adapter } of byRequests) {
    const rank = rankOf(adapter); // read only here, because it needs the store
    if (rank === null) continue;
    const { name, tenant, isMerged } = adapter;
    const owner = tenant === undefined ? {} : { tenant };
    gauge.set({ adapter_name: name, level: "gpu", pinned: String(isMerged), rank: String(rank), ...owner }, 1);
    if (++numNamed === MAX_NAMED) return;
  }
}
