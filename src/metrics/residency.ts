/** The metrics of adapters that are ready: how many there are, how many there can be, and the busiest by name. */
import type { Gauge } from "prom-client";

const MAX_NAMED = 100;

/** An adapter that no sequence would have to wait for, under one of its names. */
export interface ResidentAdapter {
  readonly name: string;
  readonly generation: string;
  readonly isMerged: boolean;
}

/** What is ready at the moment of a scrape. */
export interface ResidencyFacts {
  /** Laid out in the live engine, with or without a name. */
  readonly numLive: number;
  /** Folded into the weights of engines of their own. */
  readonly numMerged: number;
  /** Those that have a name, the last used first. */
  readonly named: readonly ResidentAdapter[];
  /** The highest rank of its targets; null where the name is gone or means another content by now. */
  readonly rankOf: (adapter: ResidentAdapter) => number | null;
}

/** @param requestsOf how busy a name was; where it is equal, the last used comes first */
export function setLoadedAdapters(
  gauge: Gauge,
  { named, rankOf }: ResidencyFacts,
  requestsOf: (name: string) => number,
): void {
  gauge.reset();
  const byRequests = named
    .map((adapter) => ({ adapter, requests: requestsOf(adapter.name) }))
    .sort((a, b) => b.requests - a.requests);
  let numNamed = 0;
  for (const { adapter } of byRequests) {
    const rank = rankOf(adapter); // asked here: it reads the store
    if (rank === null) continue;
    const { name, isMerged } = adapter;
    gauge.set({ adapter_name: name, level: "gpu", pinned: String(isMerged), rank: String(rank) }, 1);
    if (++numNamed === MAX_NAMED) return;
  }
}
