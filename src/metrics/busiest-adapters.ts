/** Counters by adapter, with one series for each of the busiest adapters and one for all others. */
import type { Counter } from "prom-client";

const MAX_NAMED = 100;
const MAX_CANDIDATES = 10_000;

/** The numbers of a sequence's report that are counted by adapter. */
interface AdapterReport {
  readonly finishedReason: string;
  readonly promptTokens: number;
  readonly generationTokens: number;
}

/**
 * Counters by adapter with at most 100 names. When an unnamed adapter becomes busier than the least busy named one, the
 * two change places. The count of the adapter that loses its name moves to `_other`, so neither `_other` nor the sum
 * ever falls.
 */
export class BusiestAdapters {
  readonly #requests: Counter;
  readonly #tokens: Counter;
  /** Activity of each named adapter (including the time before it was named), and the content of its series. */
  readonly #named = new Map<
    string,
    { requests: number; byReason: Map<string, number>; prompt: number; generation: number }
  >();
  readonly #candidates = new Map<string, number>();

  constructor(requests: Counter, tokens: Counter) {
    this.#requests = requests;
    this.#tokens = tokens;
  }

  record(adapter: string, report: AdapterReport): void {
    const name = this.#labelOf(adapter);
    const counts = this.#named.get(name);
    if (counts) {
      counts.requests += 1;
      counts.byReason.set(report.finishedReason, (counts.byReason.get(report.finishedReason) ?? 0) + 1);
      counts.prompt += report.promptTokens;
      counts.generation += report.generationTokens;
    }
    this.#requests.inc({ adapter: name, finished_reason: report.finishedReason });
    this.#tokens.inc({ adapter: name, kind: "prompt" }, report.promptTokens);
    this.#tokens.inc({ adapter: name, kind: "generation" }, report.generationTokens);
  }

  /** Number of remembered sequences that have ended; 0 for an unknown adapter. */
  requestsOf(adapter: string): number {
    return this.#named.get(adapter)?.requests ?? this.#candidates.get(adapter) ?? 0;
  }

  #labelOf(adapter: string): string {
    if (this.#named.has(adapter)) return adapter;
    if (this.#named.size < MAX_NAMED) return this.#admit(adapter, 0);
    const count = (this.#candidates.get(adapter) ?? 0) + 1;
    if (this.#candidates.size >= MAX_CANDIDATES) this.#candidates.clear(); // bounded; busy adapters return at once
    this.#candidates.set(adapter, count);
    const [least, counts] = [...this.#named].reduce((a, b) => (b[1].requests < a[1].requests ? b : a));
    if (count <= counts.requests) return "_other";
    this.#evict(least);
    this.#candidates.delete(adapter);
    return this.#admit(adapter, count - 1);
  }

  #admit(adapter: string, requests: number): string {
    this.#named.set(adapter, { requests, byReason: new Map(), prompt: 0, generation: 0 });
    return adapter;
  }

  #evict(adapter: string): void {
    const counts = this.#named.get(adapter);
    if (!counts) return;
    this.#named.delete(adapter);
    for (const [reason, count] of counts.byReason) {
      this.#requests.inc({ adapter: "_other", finished_reason: reason }, count);
      this.#requests.remove({ adapter, finished_reason: reason });
    }
    for (const kind of ["prompt", "generation"] as const) {
      this.#tokens.inc({ adapter: "_other", kind }, counts[kind]);
      this.#tokens.remove({ adapter, kind });
    }
    this.#candidates.set(adapter, counts.requests);
  }
}
