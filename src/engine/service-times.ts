/**
 * Estimates from recent sequences of how long a sequence takes and how fast the queue drains. A full server reports
 * them to refused clients. They also show whether a sequence can still end before its deadline. Pure, no clock of its
 * own.
 */
import type { SequenceFinished } from "./protocol.ts";

/** Number of recent starts that the rate is measured over. */
const NUM_STARTS = 32;
/** Weight of the newest sequence in the running means. */
const NEWEST = 1 / 16;
/**
 * Number of recent sequences whose deviation from the means is remembered. A cautious estimate covers the given share
 * of them.
 */
const NUM_LATE = 64;
const CAUTION = 0.95;
/** Longest wait that the server advises. Clients ignore longer waits, and much can change in that time. */
const MAX_RETRY_SECONDS = 60;

interface Means {
  readonly prefillPerToken: number;
  readonly decodePerToken: number;
  readonly outputTokens: number;
}

/** Seconds that a sequence takes once it has a row. */
export interface SecondsNeeded {
  /** Seconds that recent sequences took on average. */
  readonly usual: number;
  /** More seconds than nearly all recent sequences took. */
  readonly cautious: number;
}

/** The last values of a measurement, and a bound that nearly all of them stay within. */
class Late {
  readonly #values: number[] = [];
  /** Computed once for each new value, because it is read for every waiting sequence. */
  high = 0;

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > NUM_LATE) this.#values.shift();
    const sorted = this.#values.toSorted((a, b) => a - b);
    this.high = sorted[Math.min(sorted.length - 1, Math.floor(CAUTION * sorted.length))] ?? 0;
  }
}

export class ServiceTimes {
  /** Times of the last starts of sequences that had waited, in ms. */
  readonly #starts: number[] = [];
  #means: Means | null = null;
  readonly #outputTokens = new Late();
  /** Time that sequences took, divided by the mean estimate for sequences of their lengths. */
  readonly #excess = new Late();

  /** Notes that a sequence that had to wait has got its row. */
  noteStarted(nowMs: number): void {
    this.#starts.push(nowMs);
    if (this.#starts.length > NUM_STARTS) this.#starts.shift();
  }

  /** Notes that a sequence has ended by itself. */
  noteFinished(numPromptTokens: number, numOutputTokens: number, times: SequenceFinished): void {
    const one: Means = {
      prefillPerToken: times.prefillSeconds / numPromptTokens,
      decodePerToken: times.decodeSeconds / Math.max(1, numOutputTokens - 1), // the first token comes from the prefill
      outputTokens: numOutputTokens,
    };
    const before = this.#means ?? one;
    this.#outputTokens.add(numOutputTokens);
    const expected = secondsOf(before, numPromptTokens, numOutputTokens);
    if (expected > 0) this.#excess.add((times.prefillSeconds + times.decodeSeconds) / expected);
    const mean = (name: keyof Means): number => before[name] + NEWEST * (one[name] - before[name]);
    this.#means = {
      prefillPerToken: mean("prefillPerToken"),
      decodePerToken: mean("decodePerToken"),
      outputTokens: mean("outputTokens"),
    };
  }

  /** Time that a sequence needs, judged by recent ones; 0 as long as there were none. */
  secondsFor(numPromptTokens: number, maxTokens: number): SecondsNeeded {
    if (this.#means === null) return { usual: 0, cautious: 0 };
    const usual = secondsOf(this.#means, numPromptTokens, Math.min(maxTokens, this.#means.outputTokens));
    const longest = secondsOf(this.#means, numPromptTokens, Math.min(maxTokens, this.#outputTokens.high));
    return { usual, cautious: Math.max(usual, longest * this.#excess.high) };
  }

  /** Estimated time in whole seconds until half of `numWaiting` sequences have got rows. A retry is then worthwhile. */
  retryAfterSeconds(numWaiting: number, nowMs: number): number {
    const [first] = this.#starts;
    if (first === undefined || nowMs <= first) return 1;
    const perSecond = (1000 * this.#starts.length) / (nowMs - first);
    return Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(numWaiting / 2 / perSecond)));
  }
}

/** The first token comes from the prefill. */
function secondsOf(
  { prefillPerToken, decodePerToken }: Means,
  numPromptTokens: number,
  numOutputTokens: number,
): number {
  return numPromptTokens * prefillPerToken + Math.max(0, numOutputTokens - 1) * decodePerToken;
}
