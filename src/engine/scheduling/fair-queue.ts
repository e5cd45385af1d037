/**
 * Whose turn it is among flows that share something by tokens: deficit round robin whose deficits are paid afterwards, so that a flow
 * which has had nothing yet is next at once, however large its first request is, and pays with the turns behind it.
 * Pure; a flow is a key, what waits in it is the caller's. Idea: Shreedhar and Varghese, "Efficient fair queuing using deficit
 * round robin" (1996), with a quantum as large as the flow needs that has had least.
 */

interface Flow {
  numWaiting: number;
  /** Tokens it has had, on the scale of `#level`. */
  numTokens: number;
}

/** Flows remembered while nothing of theirs waits; beyond them what they have had is forgotten, in their favour. */
const MAX_REMEMBERED = 4096;

export class FairTurns {
  /** Among equals the first is next. */
  readonly #flows = new Map<string, Flow>();
  /** What the one whose turn came last had had: nobody's account falls behind it, so that saving up gives no claims. */
  #level = 0;
  #numWaiting = 0;

  /** One more waits. */
  add(key: string): void {
    this.#numWaiting++;
    const flow = this.#flows.get(key) ?? { numWaiting: 0, numTokens: this.#level };
    if (flow.numWaiting++ > 0) return;
    flow.numTokens = Math.max(flow.numTokens, this.#level);
    this.#moveBack(key, flow);
    if (this.#flows.size > MAX_REMEMBERED) this.#forgetIdle();
  }

  /** Who is next: of those that wait the one that has had least. */
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

  /** One that waited has its turn, and is charged. */
  take(key: string, numTokens: number): void {
    const flow = this.#waitingFlow(key);
    this.#level = Math.max(this.#level, flow.numTokens);
    flow.numTokens += numTokens;
    this.#moveBack(key, flow);
    this.#noteGone(flow);
  }

  /** One that waited has left. */
  leave(key: string): void {
    this.#noteGone(this.#waitingFlow(key));
  }

  /** Charges what came to a flow after its turn. */
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
    // There is room for everyone: what was had before takes nothing from anybody.
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
