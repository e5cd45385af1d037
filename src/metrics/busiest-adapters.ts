/** Counters by adapter, with one series for each of the busiest adapters and one for all others. */
import type { Counter } from "prom-client";
import type { AdapterLabel } from "./metric-spec.ts";

const MAX_NAMED = 100;
const MAX_CANDIDATES = 10_000;

/** The numbers of a sequence's report that are counted by adapter. */
interface AdapterReport {
  readonly finishedReason: string;
  readonly promptTokens: number;
  readonly generationTokens: number;
}

/** A named adapter: its activity, including the time before it was named, and the content of its series. */
interface Named {
  readonly labels: Readonly<Record<string, string>>;
  requests: number;
  readonly byReason: Map<string, number>;
  prompt: number;
  generation: number;
}

/** Digits of a generation in a label. */
const SHOWN_DIGITS = 12;

const OTHER = { adapter: "_other" };

/**
 * Counters by adapter with at most 100 names. When an unnamed adapter becomes busier than the least busy named one, the
 * two change places. The count of the adapter that loses its name moves to `_other`, so neither `_other` nor the sum
 * ever falls.
 */
export class BusiestAdapters {
  readonly #requests: Counter;
  readonly #tokens: Counter;
  readonly #named = new Map<string, Named>();
  readonly #candidates = new Map<string, number>();

  constructor(requests: Counter, tokens: Counter) {
    this.#requests = requests;
    this.#tokens = tokens;
  }

  record(adapter: AdapterLabel, report: AdapterReport): void {
    const named = this.#namedFor(adapter);
    if (named) {
      named.requests += 1;
      named.byReason.set(report.finishedReason, (named.byReason.get(report.finishedReason) ?? 0) + 1);
      named.prompt += report.promptTokens;
      named.generation += report.generationTokens;
    }
    const labels = named?.labels ?? OTHER;
    this.#requests.inc({ ...labels, finished_reason: report.finishedReason });
    this.#tokens.inc({ ...labels, kind: "prompt" }, report.promptTokens);
    this.#tokens.inc({ ...labels, kind: "generation" }, report.generationTokens);
  }

  /** Number of remembered sequences that have ended; 0 for an unknown adapter. */
  requestsOf(adapter: AdapterLabel): number {
    const key = keyOf(adapter);
    return this.#named.get(key)?.requests ?? this.#candidates.get(key) ?? 0;
  }

  /** undefined: the adapter counts as `_other`. */
  #namedFor(adapter: AdapterLabel): Named | undefined {
    const key = keyOf(adapter);
    const known = this.#named.get(key);
    if (known) return known;
    if (this.#named.size < MAX_NAMED) return this.#admit(key, adapter, 0);
    const count = (this.#candidates.get(key) ?? 0) + 1;
    if (this.#candidates.size >= MAX_CANDIDATES) this.#candidates.clear(); // bounded; busy adapters return at once
    this.#candidates.set(key, count);
    const [least, counts] = [...this.#named].reduce((a, b) => (b[1].requests < a[1].requests ? b : a));
    if (count <= counts.requests) return undefined;
    this.#evict(least);
    this.#candidates.delete(key);
    return this.#admit(key, adapter, count - 1);
  }

  #admit(key: string, { name, tenant, generation }: AdapterLabel, requests: number): Named {
    const labels = {
      adapter: name,
      ...(tenant === undefined ? {} : { tenant }),
      ...(generation === undefined ? {} : { generation: generation.slice(0, SHOWN_DIGITS) }),
    };
    const named: Named = { labels, requests, byReason: new Map(), prompt: 0, generation: 0 };
    this.#named.set(key, named);
    return named;
  }

  #evict(key: string): void {
    const counts = this.#named.get(key);
    if (!counts) return;
    this.#named.delete(key);
    for (const [reason, count] of counts.byReason) {
      this.#requests.inc({ ...OTHER, finished_reason: reason }, count);
      this.#requests.remove({ ...counts.labels, finished_reason: reason });
    }
    for (const kind of ["prompt", "generation"] as const) {
      this.#tokens.inc({ ...OTHER, kind }, counts[kind]);
      this.#tokens.remove({ ...counts.labels, kind });
    }
    this.#candidates.set(key, counts.requests);
  }
}

function keyOf({ tenant = "", name, generation = "" }: AdapterLabel): string {
  return `${tenant}/${name}@${generation}`;
}
