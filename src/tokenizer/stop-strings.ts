/**
 * Watches streamed text for stop strings that may begin in one delta and end in a later one. It holds back only text
 * that could still become a stop string. As in OpenAI's API, the stop text itself is not returned. Pure; knows no
 * tokens.
 */

/** The result of one delta. */
export interface StopResult {
  /** Text that may be sent now. */
  readonly text: string;
  /** The stop string that was found. No text follows it. */
  readonly stop: string | undefined;
}

/**
 * Finds the stop string that ends first in a stream of deltas. If several end together, it finds the one that begins
 * first.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  readonly #longest: number;
  #held = "";
  /** Characters of the held text before which no stop string may end. */
  #numGuarded = 0;
  #isStopped = false;

  /** @param stops empty strings are ignored: they would stop before the first character. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
    this.#longest = Math.max(0, ...this.#stops.map((stop) => stop.length));
  }

  /**
   * Accepts the next delta and returns the text that is safe to send. After a stop it returns no text.
   * @param mayStop false: no stop string that ends within this delta counts; one that ends in a later delta does (as in
   * vLLM)
   */
  push(delta: string, mayStop = true): StopResult {
    if (this.#isStopped) return { text: "", stop: undefined };
    if (this.#longest === 0) return { text: delta, stop: undefined };
    this.#held += delta;
    if (!mayStop) this.#numGuarded = this.#held.length;
    const found = this.#find(this.#held);
    if (found !== undefined) {
      const text = this.#held.slice(0, found.at);
      this.#held = "";
      this.#isStopped = true;
      return { text, stop: found.stop };
    }
    const safe = this.#held.length - this.#numHeld();
    const text = this.#held.slice(0, safe);
    this.#held = this.#held.slice(safe);
    this.#numGuarded = Math.max(0, this.#numGuarded - safe);
    return { text, stop: undefined };
  }

  /** The held text at the end of the stream, which did not become a stop string. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** The first end of a stop string counts, as if a generation were checked character by character. */
  #find(text: string): { at: number; stop: string } | undefined {
    let best: { at: number; stop: string } | undefined;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop, Math.max(0, this.#numGuarded - stop.length + 1));
      if (at < 0) continue;
      const end = at + stop.length;
      const bestEnd = best === undefined ? Infinity : best.at + best.stop.length;
      if (end < bestEnd || (end === bestEnd && at < (best?.at ?? 0))) best = { at, stop };
    }
    return best;
  }

  /** Length of the longest end of the held text that begins a stop string. */
  #numHeld(): number {
    for (let size = Math.min(this.#longest - 1, this.#held.length); size > 0; size--) {
      const end = this.#held.slice(this.#held.length - size);
      if (this.#stops.some((stop) => stop.startsWith(end))) return size;
    }
    return 0;
  }
}
