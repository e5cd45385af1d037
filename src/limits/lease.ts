/**
 * One request's use of its caller's limits. The request itself is counted at the door. Its tokens are charged before it
 * gets a row, as if it would use all that it may, and settled when it has ended.
 */
import { AppError } from "../errors.ts";
import { type Meter, smallest } from "../keys/limits.ts";
import type { Counted, Use, WindowCounters } from "./window-counters.ts";

interface Charge {
  readonly meter: Meter;
  readonly limit: number;
  readonly points: number;
  /** `performance.now()` of the window's end. A later settlement must not credit the next window. */
  readonly endsAt: number;
}

/** Requests of each meter that run now. */
export type Running = Map<string, number>;

/** A meter refused a demand. */
export type OnRefused = (limit: "concurrent" | "requests" | "tokens") => void;

export class Lease {
  readonly #meters: readonly Meter[];
  readonly #counters: WindowCounters;
  readonly #running: Running;
  readonly #onRefused: OnRefused;
  readonly #charges: Charge[] = [];
  #requests: Use | null = null;
  #tokens: Use | null = null;
  #isRunning = false;

  constructor(meters: readonly Meter[], counters: WindowCounters, running: Running, onRefused: OnRefused) {
    this.#meters = meters;
    this.#counters = counters;
    this.#running = running;
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

  /** Counts the request. @throws {AppError} rate_limit_exceeded; then nothing is counted */
  async enter(): Promise<void> {
    for (const { id, limits } of this.#meters) {
      const running = this.#running.get(id) ?? 0;
      if (limits.concurrent === undefined || running < limits.concurrent) continue;
      this.#onRefused("concurrent");
      throw refusal(`${running} requests run at the same time, and the limit is ${limits.concurrent}`, 1000);
    }
    for (const { id } of this.#meters) this.#running.set(id, (this.#running.get(id) ?? 0) + 1);
    this.#isRunning = true;
    await this.#takeAll("requests", 1, ({ requestsPerMinute }) => requestsPerMinute);
  }

  /** Charges the most tokens that the request can use. @throws {AppError} rate_limit_exceeded */
  async charge(mostTokens: number): Promise<void> {
    await this.#takeAll("tokens", mostTokens, ({ tokensPerMinute }) => tokensPerMinute);
  }

  /** Ends the lease, with the tokens that were really used. Further calls do nothing. */
  end(usedTokens: number): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    for (const { id } of this.#meters) {
      const left = (this.#running.get(id) ?? 1) - 1;
      if (left > 0) this.#running.set(id, left);
      else this.#running.delete(id);
    }
    for (const { meter, limit, points, endsAt } of this.#charges) {
      const difference = usedTokens - points;
      if (difference === 0 || performance.now() >= endsAt) continue;
      // A counter that is out of reach has lost the charge too.
      this.#counters.correct("tokens", meter.id, difference, limit).catch(() => undefined);
    }
  }

  /** OpenAI's headers about the limits that are closest. */
  headers(): [string, string][] {
    const all = [["requests", this.#requests] as const, ["tokens", this.#tokens] as const];
    return all.flatMap(([kind, use]): [string, string][] =>
      use === null
        ? []
        : [
            [`x-ratelimit-limit-${kind}`, String(use.limit)],
            [`x-ratelimit-remaining-${kind}`, String(use.remaining)],
            [`x-ratelimit-reset-${kind}`, `${Math.max(0, Math.ceil(use.msLeft / 1000))}s`],
          ],
    );
  }

  async #takeAll(
    kind: "requests" | "tokens",
    most: number,
    limitOf: (limits: Meter["limits"]) => number | undefined,
  ): Promise<void> {
    const taken: Charge[] = [];
    for (const meter of this.#meters) {
      const limit = limitOf(meter.limits);
      if (limit === undefined) continue;
      const points = Math.min(most, limit); // otherwise such a request could never run
      const counted = await this.#counters.take(kind, meter.id, points, limit);
      this.#note(kind, counted);
      if (counted.isRefused) {
        for (const one of taken) await this.#counters.correct(kind, one.meter.id, -one.points, one.limit);
        this.#onRefused(kind);
        throw refusal(
          `the limit is ${limit} ${kind} a minute, of which ${counted.remaining} are left, and this request needs ${points}`,
          counted.msLeft,
        );
      }
      taken.push({ meter, limit, points, endsAt: performance.now() + counted.msLeft });
    }
    if (kind === "tokens") this.#charges.push(...taken);
  }

  #note(kind: "requests" | "tokens", use: Counted): void {
    const before = kind === "requests" ? this.#requests : this.#tokens;
    if (before !== null && before.remaining <= use.remaining) return;
    if (kind === "requests") this.#requests = use;
    else this.#tokens = use;
  }
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
