/**
 * One request's use of its caller's limits. The request itself is counted at the door. Its tokens are charged before it
 * gets a row, as if it would use all that it may, and settled when it has ended.
 */
import { AppError } from "../errors.ts";
import { type Meter, smallest } from "../keys/limits.ts";
import type { Counters, Demand, Taken, Use, WindowKind } from "./counters.ts";

/** A meter refused a demand. */
export type OnRefused = (limit: "concurrent" | WindowKind) => void;

export class Lease {
  readonly #run: string;
  readonly #meters: readonly Meter[];
  readonly #counters: Counters;
  readonly #onRefused: OnRefused;
  readonly #closest: Record<WindowKind, Use | null> = { requests: null, tokens: null };
  readonly #charges: Taken[] = [];
  #isRunning = false;

  /** @param run names the request, on all servers that share the counters */
  constructor(run: string, meters: readonly Meter[], counters: Counters, onRefused: OnRefused) {
    this.#run = run;
    this.#meters = meters;
    this.#counters = counters;
    this.#onRefused = onRefused;
  }

  /** Share of the queue that the caller's requests may take; undefined: no limit. */
  get queueShare(): number | undefined {
    return smallest(this.#meters, "queueShare");
  }

  /** Weight in the order of tenants. */
  get priority(): number | undefined {
    return smallest(this.#meters, "priority");
  }

  /** Counts the request. @throws {AppError} rate_limit_exceeded; the caller ends the lease then too */
  async enter(): Promise<void> {
    const slots = this.#meters.flatMap(({ id, limits: { concurrent: limit } }) =>
      limit === undefined ? [] : [{ id, limit }],
    );
    const full = slots.length === 0 ? null : await this.#counters.begin(this.#run, slots);
    if (full !== null) {
      this.#onRefused("concurrent");
      throw refusal(`${full.running} requests run at the same time, and the limit is ${full.limit}`, 1000);
    }
    this.#isRunning = true;
    await this.#take("requests", 1, ({ requestsPerMinute }) => requestsPerMinute);
  }

  /** Charges the most tokens that the request can use. @throws {AppError} rate_limit_exceeded */
  async charge(mostTokens: number): Promise<void> {
    const taken = await this.#take("tokens", mostTokens, ({ tokensPerMinute }) => tokensPerMinute);
    if (taken === null) return;
    if (this.#isRunning) this.#charges.push(taken);
    else taken.settle(0);
  }

  /** Ends the lease, with the tokens that were really used. Further calls do nothing. */
  end(usedTokens: number): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#counters.end(this.#run);
    for (const charge of this.#charges) charge.settle(usedTokens);
  }

  /** OpenAI's headers about the limits that are closest. */
  headers(): [string, string][] {
    return (["requests", "tokens"] as const).flatMap((kind): [string, string][] => {
      const use = this.#closest[kind];
      if (use === null) return [];
      return [
        [`x-ratelimit-limit-${kind}`, String(use.limit)],
        [`x-ratelimit-remaining-${kind}`, String(use.remaining)],
        [`x-ratelimit-reset-${kind}`, `${Math.max(0, Math.ceil(use.msLeft / 1000))}s`],
      ];
    });
  }

  async #take(
    kind: WindowKind,
    most: number,
    limitOf: (limits: Meter["limits"]) => number | undefined,
  ): Promise<Taken | null> {
    const demands = this.#meters.flatMap(({ id, limits }): Demand[] => {
      const limit = limitOf(limits);
      // At most the limit: otherwise a request with a larger demand could never run.
      return limit === undefined ? [] : [{ id, limit, points: Math.min(most, limit) }];
    });
    if (demands.length === 0) return null;
    const taken = await this.#counters.take(kind, demands);
    for (const use of taken.uses) this.#note(kind, use);
    if (!taken.isRefused) return taken;
    this.#onRefused(kind);
    throw tooMany(kind, demands[taken.uses.length - 1], taken.uses.at(-1));
  }

  #note(kind: WindowKind, use: Use): void {
    const before = this.#closest[kind];
    if (before === null || use.remaining < before.remaining) this.#closest[kind] = use;
  }
}

function tooMany(kind: WindowKind, demand: Demand | undefined, use: Use | undefined): AppError {
  return refusal(
    `the limit is ${demand?.limit} ${kind} a minute, of which ${use?.remaining} are left, and this request needs ${demand?.points}`,
    use?.msLeft ?? 0,
  );
}

function refusal(reason: string, waitMs: number): AppError {
  return new AppError(
    "rate_limit_exceeded",
    `This key or its tenant has reached a limit: ${reason}. Try again later.`,
    {
      retryAfterSeconds: waitMs / 1000,
    },
  );
}
