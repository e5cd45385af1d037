/**
 * How long sequences take and how fast the queue drains, from those of late: what a full server tells those it refuses, and
 * whether a sequence can still end before its deadline. Estimates; pure, no clock of its own.
 */
import type { SequenceFinished } from "./protocol.ts";

/** Starts that the rate is taken from. */
const NUM_STARTS = 32;
/** Weight of the newest sequence in the running means. */
const NEWEST = 1 / 16;
/** Sequences whose differences from the means are remembered, and the share of them that a cautious estimate covers. */
const NUM_LATE = 64;
const CAUTION = 0.95;
/** Longest wait that is advised: clients heed no longer one, and much can change until then. */
const MAX_RETRY_SECONDS = 60;

interface Means {
  readonly prefillPerToken: number;
  readonly decodePerToken: number;
  readonly outputTokens: number;
}

/** Seconds that a sequence takes once it has a row. */
export interface SecondsNeeded {
  /** As those of late took on the whole. */
  readonly usual: number;
  /** More than nearly all of them would have taken. */
  readonly cautious: number;
}

/** The last values of something, and what nearly all of them do not exceed. */
class Late {
  readonly #values: number[] = [];
  /** Worked out once a value, for it is asked of everything that waits. */
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
  /** What sequences took ÷ what the means said of ones of their lengths. */
  readonly #excess = new Late();

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

  /** What a sequence needs, by those of late; 0 as long as there were none. */
  secondsFor(numPromptTokens: number, maxTokens: number): SecondsNeeded {
    if (this.#means === null) return { usual: 0, cautious: 0 };
    const usual = secondsOf(this.#means, numPromptTokens, Math.min(maxTokens, this.#means.outputTokens));
    const longest = secondsOf(this.#means, numPromptTokens, Math.min(maxTokens, this.#outputTokens.high));
    return { usual, cautious: Math.max(usual, longest * this.#excess.high) };
  }

  /** When half of `numWaiting` will have been given their rows, in whole seconds: worth another try by then. */
  retryAfterSeconds(numWaiting: number, nowMs: number): number {
    const [first] = this.#starts;
    if (first === undefined || nowMs <= first) return 1;
    const perSecond = (1000 * this.#starts.length) / (nowMs - first);
    return Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(numWaiting / 2 / perSecond)));
  }
}

/** The first token comes of the prefill. */
function secondsOf(
  { prefillPerToken, decodePerToken }: Means,
  numPromptTokens: number,
  numOutputTokens: number,
): number {
  return numPromptTokens * prefillPerToken + Math.max(0, numOutputTokens - 1) * decodePerToken;
}
