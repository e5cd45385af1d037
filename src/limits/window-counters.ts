/**
 * Counts use in windows of a minute, in the memory of this process. Counted use is never above the limit: a demand that
 * does not fit is not counted at all. Knows nothing of what is counted.
 */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

const WINDOW_SECONDS = 60;

/** A meter's use after a demand. */
export interface Use {
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until the window ends. */
  readonly msLeft: number;
}

export interface Counted extends Use {
  readonly isRefused: boolean;
}

export class WindowCounters {
  /** By the limit, since the library's counters have one. */
  readonly #byLimit = new Map<string, RateLimiterMemory>();

  /** Counts a demand, unless it does not fit into what is left of the window. @param kind requests or tokens, say */
  async take(kind: string, id: string, points: number, limit: number): Promise<Counted> {
    const counter = this.#counter(kind, limit);
    try {
      const { remainingPoints, msBeforeNext } = await counter.consume(id, points);
      return { limit, remaining: remainingPoints, msLeft: msBeforeNext, isRefused: false };
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      const { remainingPoints, msBeforeNext } = await counter.reward(id, points);
      return { limit, remaining: remainingPoints, msLeft: msBeforeNext, isRefused: true };
    }
  }

  /** Corrects what was counted: `points` more, or fewer where negative. */
  async correct(kind: string, id: string, points: number, limit: number): Promise<void> {
    const counter = this.#counter(kind, limit);
    await (points > 0 ? counter.penalty(id, points) : counter.reward(id, -points));
  }

  #counter(kind: string, limit: number): RateLimiterMemory {
    const name = `${kind} ${limit}`;
    const counter =
      this.#byLimit.get(name) ?? new RateLimiterMemory({ keyPrefix: name, points: limit, duration: WINDOW_SECONDS });
    this.#byLimit.set(name, counter);
    return counter;
  }
}
