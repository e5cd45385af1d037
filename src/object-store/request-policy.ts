/**
 * When a request to a store is given up, tried again, or not sent at all. A store that is down costs the requests that
 * need it one time limit a few times. After that they fail at once, and one request at a time finds out whether it is
 * back.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../errors.ts";
import { unavailable } from "./object-store.ts";

/** A fault that may pass: the connection broke, the time was up, or the store is busy. */
export class PassingFault extends Error {}

export interface RequestPolicyOptions {
  /** Time limit of an operation, with all its attempts, in milliseconds. */
  readonly timeoutMs: number;
  /** Called after each operation, with the number of attempts. */
  readonly onDone?: (operation: string, isOk: boolean, seconds: number) => void;
}

const MAX_TRIES = 3;
const FIRST_WAIT_MS = 50;
/** Operations that fail one after another before the store counts as down. */
const FAILURES_UNTIL_DOWN = 3;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 10_000;
const MAX_AT_ONCE = 64;

export class RequestPolicy {
  readonly #url: string;
  readonly #options: RequestPolicyOptions;
  #failures = 0;
  /** While the store is down: when the next operation may try it. */
  #nextTryAt = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #isProbing = false;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(url: string, options: RequestPolicyOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Whether operations fail at once, because the store has not answered several times. */
  get isDown(): boolean {
    return this.#failures >= FAILURES_UNTIL_DOWN && (this.#isProbing || performance.now() < this.#nextTryAt);
  }

  /**
   * Runs `attempt` until it succeeds, at most three times within the time limit.
   * @param attempt must end when the signal is aborted
   * @throws {AppError} store_unavailable, or an AppError of `attempt`
   */
  async run<T>(operation: string, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.isDown) throw unavailable(this.#url, "it did not answer several times");
    const isProbe = this.#failures >= FAILURES_UNTIL_DOWN;
    if (isProbe) this.#isProbing = true;
    const startedAt = performance.now();
    let isOk = false;
    try {
      await this.#enter();
      const result = await this.#try(attempt, startedAt + this.#options.timeoutMs);
      isOk = true;
      this.#failures = 0;
      return result;
    } catch (error) {
      if (error instanceof AppError && error.code !== "store_unavailable") {
        isOk = true; // the store has answered
        this.#failures = 0;
      } else this.#noteFailure(isProbe);
      throw error;
    } finally {
      if (isProbe) this.#isProbing = false;
      this.#leave();
      this.#options.onDone?.(operation, isOk, (performance.now() - startedAt) / 1000);
    }
  }

  async #try<T>(attempt: (signal: AbortSignal) => Promise<T>, endAt: number): Promise<T> {
    for (let tries = 1; ; tries++) {
      // Half of the time for one attempt, so that a lost connection leaves time for another.
      const limit = Math.max(1, Math.min(endAt - performance.now(), this.#options.timeoutMs / 2));
      try {
        return await attempt(AbortSignal.timeout(Math.ceil(limit)));
      } catch (error) {
        if (!(error instanceof PassingFault)) throw error;
        const wait = Math.random() * FIRST_WAIT_MS * 4 ** tries; // full jitter, so that replicas do not return together
        if (tries === MAX_TRIES || performance.now() + wait >= endAt)
          throw unavailable(this.#url, error.message, error);
        await sleep(wait);
      }
    }
  }

  /** Operations that began before the store counted as down do not lengthen the pause. */
  #noteFailure(isProbe: boolean): void {
    if (this.#failures >= FAILURES_UNTIL_DOWN && !isProbe) return;
    if (!isProbe && ++this.#failures < FAILURES_UNTIL_DOWN) return;
    this.#pauseMs = isProbe ? Math.min(MAX_PAUSE_MS, this.#pauseMs * 2) : FIRST_PAUSE_MS;
    this.#nextTryAt = performance.now() + this.#pauseMs * (0.5 + Math.random() / 2);
  }

  async #enter(): Promise<void> {
    if (this.#running++ < MAX_AT_ONCE) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    this.#running--;
    this.#waiting.shift()?.();
  }
}
