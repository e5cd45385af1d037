/**
 * Fair queuing by tokens: the flow that has had the fewest tokens goes next. This is deficit round robin with deficits
 * paid afterwards. A flow without tokens goes next at once, however large its first request is, and pays with later
 * turns. Pure: a flow is a key, and the caller keeps the flow's waiting requests.
 *
 * Idea: Shreedhar and Varghese, "Efficient fair queuing using deficit round robin" (1996). The quantum here is as large
 * as the flow with the fewest tokens needs.
 */

interface Flow {
  numWaiting: number;
  /** Tokens this flow has been charged, on the scale of `#level`. */
  numTokens: number;
}

/**
 * Number of idle flows that are remembered. Beyond it, a flow's account is deleted, and the flow starts again without
 * debt.
 */
const MAX_REMEMBERED = 4096;

export class FairQueue {
  /** Flows in order; among equals the first goes next. */
  readonly #flows = new Map<string, Flow>();
  /**
   * Tokens charged to the flow served last. New and returning flows start from here, so an idle flow cannot save up
   * credit.
   */
  #level = 0;
  #numWaiting = 0;

  /** Adds one waiting request of a flow. */
  add(key: string): void {
    this.#numWaiting++;
    const flow = this.#flows.get(key) ?? { numWaiting: 0, numTokens: this.#level };
    if (flow.numWaiting++ > 0) return;
    flow.numTokens = Math.max(flow.numTokens, this.#level);
    this.#moveBack(key, flow);
    if (this.#flows.size > MAX_REMEMBERED) this.#forgetIdle();
  }

  /** The next flow: of those that wait, the one charged the fewest tokens. */
  next(): string | null {
    let next: string | null = null;
    let least = Infinity;
    for (const [key, { numWaiting, numTokens }] of this.#flows) {
      if (numWaiting === 0 || numTokens >= least) continue;
      next = key;
      least = numTokens;
    }
    return next;
  }

  /** Serves a waiting flow and charges it. */
  take(key: string, numTokens: number): void {
    const flow = this.#waitingFlow(key);
    this.#level = Math.max(this.#level, flow.numTokens);
    flow.numTokens += numTokens;
    this.#moveBack(key, flow);
    this.#noteGone(flow);
  }

  /** Removes one waiting request of a flow without serving it. */
  leave(key: string): void {
    this.#noteGone(this.#waitingFlow(key));
  }

  /** Charges a flow for tokens that came after its turn. */
  charge(key: string, numTokens: number): void {
    const flow = this.#flows.get(key);
    if (flow) flow.numTokens += numTokens;
  }

  #waitingFlow(key: string): Flow {
    const flow = this.#flows.get(key);
    if (!flow || flow.numWaiting === 0) throw new Error(`internal: nothing waits in ${key}`);
    return flow;
  }

  #noteGone(flow: Flow): void {
    flow.numWaiting--;
    if (--this.#numWaiting > 0) return;
    // No flow waits, so earlier use was at nobody's expense and is forgotten.
    this.#flows.clear();
    this.#level = 0;
  }

  #moveBack(key: string, flow: Flow): void {
    this.#flows.delete(key);
    this.#flows.set(key, flow);
  }

  #forgetIdle(): void {
    for (const [key, { numWaiting }] of this.#flows) if (numWaiting === 0) this.#flows.delete(key);
  }
}
