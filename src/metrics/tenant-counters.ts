/** Counters by tenant. The first 100 tenants have series of their own. All others count as `_other`. */
import type { Counter } from "prom-client";

const MAX_NAMED = 100;

export class TenantCounters {
  readonly #requests: Counter;
  readonly #tokens: Counter;
  readonly #limited: Counter;
  readonly #named = new Set<string>();

  constructor(requests: Counter, tokens: Counter, limited: Counter) {
    this.#requests = requests;
    this.#tokens = tokens;
    this.#limited = limited;
  }

  record(tenant: string, report: { readonly promptTokens: number; readonly generationTokens: number }): void {
    const label = { tenant: this.#labelOf(tenant) };
    this.#requests.inc(label);
    this.#tokens.inc({ ...label, kind: "prompt" }, report.promptTokens);
    this.#tokens.inc({ ...label, kind: "generation" }, report.generationTokens);
  }

  recordLimited(tenant: string, limit: string): void {
    this.#limited.inc({ tenant: this.#labelOf(tenant), limit });
  }

  #labelOf(tenant: string): string {
    if (this.#named.size < MAX_NAMED) this.#named.add(tenant);
    return this.#named.has(tenant) ? tenant : "_other";
  }
}
