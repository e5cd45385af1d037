/**
 * Counts use in Redis, together with other servers, and in memory while Redis does not answer. A request waits for it
 * once, for at most half a second. From then on this server counts for itself, with the whole limits, until it has
 * connected again. A demand is settled where it was counted.
 */
import type { Counters, Demand, Full, Slot, Taken, WindowKind } from "./counters.ts";
import { MemoryCounters } from "./memory-counters.ts";
import { RedisCounters } from "./redis-counters.ts";

/** All in milliseconds. */
export interface SharedCountersTimes {
  /** Maximum time that a request waits for Redis. */
  readonly answerMs: number;
  readonly connectMs: number;
  /** Between two renewals of leases, or two attempts to connect. */
  readonly beatMs: number;
  /** Time after which Redis frees the slots of a server that has not renewed them. */
  readonly leaseMs: number;
}

const TIMES: SharedCountersTimes = { answerMs: 500, connectMs: 2000, beatMs: 2000, leaseMs: 6000 };

export interface SharedCountersEvents {
  /** Redis answers from now on. */
  readonly onShared: () => void;
  /** Redis does not answer any more, or has not answered at the start. */
  readonly onAlone: (error: unknown) => void;
}

export class SharedCounters implements Counters {
  readonly #url: string;
  readonly #events: SharedCountersEvents;
  readonly #times: SharedCountersTimes;
  readonly #own = new MemoryCounters();
  /** Runs of this server that have their slots, in Redis or in memory. Not those that wait for an answer of Redis. */
  readonly #runs = new Map<string, readonly Slot[]>();
  #redis: RedisCounters | null = null;
  #beat: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(url: string, events: SharedCountersEvents, times: SharedCountersTimes) {
    this.#url = url;
    this.#events = events;
    this.#times = times;
  }

  /** @throws what Redis answered, if it answers and refuses the connection: for example, its password is wrong */
  static async open(url: string, events: SharedCountersEvents, times = TIMES): Promise<SharedCounters> {
    const counters = new SharedCounters(url, events, times);
    const { ErrorReply } = await import("@redis/client");
    const error = await counters.#connect();
    if (error instanceof ErrorReply) throw error;
    if (error !== null) events.onAlone(error);
    counters.#scheduleBeat();
    return counters;
  }

  async take(kind: WindowKind, demands: readonly Demand[]): Promise<Taken> {
    return (await this.#ask((redis) => redis.take(kind, demands))) ?? (await this.#own.take(kind, demands));
  }

  async begin(run: string, slots: readonly Slot[]): Promise<Full | null> {
    const ownFull = await this.#own.begin(run, slots);
    if (ownFull !== null) return ownFull; // with other servers, the meter has at least as many runs
    const full = await this.#ask((redis) => redis.begin(run, slots));
    if (full) this.#own.end(run);
    else this.#runs.set(run, slots);
    return full ?? null;
  }

  end(run: string): void {
    this.#own.end(run);
    this.#runs.delete(run);
    this.#redis?.end(run);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#beat);
    this.#redis?.close();
    this.#redis = null;
  }

  /** Asks Redis. @returns undefined: it did not answer in time, or is not connected */
  async #ask<T>(question: (redis: RedisCounters) => Promise<T>): Promise<T | undefined> {
    const redis = this.#redis;
    if (redis === null) return undefined;
    try {
      return await within(this.#times.answerMs, question(redis));
    } catch (error) {
      this.#lose(redis, error);
      return undefined;
    }
  }

  #lose(redis: RedisCounters, error: unknown): void {
    if (this.#redis !== redis) return;
    this.#redis = null;
    redis.close();
    this.#events.onAlone(error);
  }

  /** @returns the error; null: connected */
  async #connect(): Promise<unknown> {
    const { connectMs } = this.#times;
    let redis: RedisCounters | null = null;
    const onFailed = (error: unknown) => {
      if (redis !== null) this.#lose(redis, error);
    };
    const attempt = RedisCounters.connect(this.#url, this.#times, onFailed);
    try {
      redis = await within(connectMs, attempt);
      // The other servers count the runs that began meanwhile from now on.
      await within(connectMs, redis.renew(this.#runs));
    } catch (error) {
      void attempt.then((late) => late.close()).catch(() => undefined);
      return error;
    }
    if (this.#isClosed) redis.close();
    else this.#redis = redis;
    if (!this.#isClosed) this.#events.onShared();
    return null;
  }

  #scheduleBeat(): void {
    if (this.#isClosed) return;
    this.#beat = setTimeout(() => {
      const isConnected = this.#redis !== null;
      const beat = isConnected ? this.#ask((redis) => redis.renew(this.#runs)) : this.#connect();
      void beat.then(() => this.#scheduleBeat());
    }, this.#times.beatMs).unref();
  }
}

/** @throws what the promise throws; an error after so many milliseconds */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    // The event loop reads sockets between a timer and setImmediate. An answer that lies there counts as in time.
    timer = setTimeout(() => setImmediate(() => reject(new Error(`no answer within ${ms} ms`))), ms);
  });
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
