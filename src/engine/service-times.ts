/**
 * How long sequences take and how fast the queue drains, from those of late: what a full server tells those it refuses, and
 * whether a sequence can still end before its deadline. Estimates; pure, no clock of its own.
 */
import type { SequenceFinished } from "./protocol.ts";

/** Starts that the rate is taken from. */
const NUM_STARTS = 32;
/** Weight of the newest sequence in the running means. */
const NEWEST = 1 / 16;
/** Longest wait that is advised: clients heed no longer one, and much can change until then. */
const MAX_RETRY_SECONDS = 60;

interface Means {
  readonly prefillPerToken: number;
  readonly decodePerToken: number;
  readonly outputTokens: number;
}

export class ServiceTimes {
  /** Times of the last starts of sequences that had waited, in ms. */
  readonly #starts: number[] = [];
  #means: Means | null = null;

  /** A sequence that had to wait has been given its row. */
  noteStarted(nowMs: number): void {
    this.#starts.push(nowMs);
    if (this.#starts.length > NUM_STARTS) this.#starts.shift();
  }

  /** A sequence has ended by itself. */
  noteFinished(numPromptTokens: number, numOutputTokens: number, times: SequenceFinished): void {
    const one: Means = {
      prefillPerToken: times.prefillSeconds / numPromptTokens,
      decodePerToken: times.decodeSeconds / Math.max(1, numOutputTokens - 1), // the first one comes of the prefill
      outputTokens: numOutputTokens,
    };
    const before = this.#means ?? one;
    const mean = (name: keyof Means): number => before[name] + NEWEST * (one[name] - before[name]);
    this.#means = {
      prefillPerToken: mean("prefillPerToken"),
      decodePerToken: mean("decodePerToken"),
      outputTokens: mean("outputTokens"),
    };
  }

  /** Seconds that a sequence takes once it has a row, as those of late did; 0 as long as there were none. */
  secondsFor(numPromptTokens: number, maxTokens: number): number {
    if (this.#means === null) return 0;
    const { prefillPerToken, decodePerToken, outputTokens } = this.#means;
    return numPromptTokens * prefillPerToken + Math.min(maxTokens, outputTokens) * decodePerToken;
  }

  /** When half of `numWaiting` will have been given their rows, in whole seconds: worth another try by then. */
  retryAfterSeconds(numWaiting: number, nowMs: number): number {
    const [first] = this.#starts;
    if (first === undefined || nowMs <= first) return 1;
    const perSecond = (1000 * this.#starts.length) / (nowMs - first);
    return Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(numWaiting / 2 / perSecond)));
  }
}
