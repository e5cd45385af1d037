/** Counts use in the memory of this process, its windows with rate-limiter-flexible. */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import {
  type Counters,
  type Demand,
  type Full,
  type Slot,
  type Taken,
  type Use,
  WINDOW_SECONDS,
  type WindowKind,
} from "./counters.ts";

/** A demand that was counted. */
interface Charge extends Demand {
  /** `performance.now()` of the window's end. A later settlement must not credit the next window. */
  readonly endsAt: number;
}

export class MemoryCounters implements Counters {
  /** The library's counters, by their limit. Each of them has one limit for all of its meters. */
  readonly #windows = new Map<string, RateLimiterMemory>();
  /** Runs that have slots, with the meters of these. */
  readonly #runs = new Map<string, readonly Slot[]>();
  /** Runs of each meter. */
  readonly #running = new Map<string, number>();

  async take(kind: WindowKind, demands: readonly Demand[]): Promise<Taken> {
    const charges: Charge[] = [];
    const uses: Use[] = [];
    for (const demand of demands) {
      const { use, isRefused } = await this.#takeOne(kind, demand);
      uses.push(use);
      if (isRefused) {
        for (const charge of charges) await this.#correct(kind, charge, -charge.points);
        return { uses, isRefused, settle: () => undefined };
      }
      charges.push({ ...demand, endsAt: performance.now() + use.msLeft });
    }
    const settle = (used: number) => {
      for (const charge of charges) {
        if (performance.now() < charge.endsAt) void this.#correct(kind, charge, used - charge.points);
      }
    };
    return { uses, isRefused: false, settle };
  }

  async begin(run: string, slots: readonly Slot[]): Promise<Full | null> {
    for (const slot of slots) {
      const running = this.#running.get(slot.id) ?? 0;
      if (running >= slot.limit) return { ...slot, running };
    }
    for (const { id } of slots) this.#running.set(id, (this.#running.get(id) ?? 0) + 1);
    if (slots.length > 0) this.#runs.set(run, slots);
    return null;
  }

  end(run: string): void {
    for (const { id } of this.#runs.get(run) ?? []) {
      const left = (this.#running.get(id) ?? 1) - 1;
      if (left > 0) this.#running.set(id, left);
      else this.#running.delete(id);
    }
    this.#runs.delete(run);
  }

  async #takeOne(kind: WindowKind, { id, points, limit }: Demand): Promise<{ use: Use; isRefused: boolean }> {
    const window = this.#window(kind, limit);
    try {
      const { remainingPoints, msBeforeNext } = await window.consume(id, points);
      return { use: { limit, remaining: remainingPoints, msLeft: msBeforeNext }, isRefused: false };
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      const { remainingPoints, msBeforeNext } = await window.reward(id, points);
      return { use: { limit, remaining: remainingPoints, msLeft: msBeforeNext }, isRefused: true };
    }
  }

  async #correct(kind: WindowKind, { id, limit }: Demand, points: number): Promise<void> {
    const window = this.#window(kind, limit);
    await (points > 0 ? window.penalty(id, points) : window.reward(id, -points));
  }

  #window(kind: WindowKind, limit: number): RateLimiterMemory {
    const name = `${kind} ${limit}`;
    const window =
      this.#windows.get(name) ?? new RateLimiterMemory({ keyPrefix: name, points: limit, duration: WINDOW_SECONDS });
    this.#windows.set(name, window);
    return window;
  }
}
