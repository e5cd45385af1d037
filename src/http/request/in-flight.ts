/**
 * Counts the requests in progress, and decides whether new ones are still accepted. A graceful stop waits for this
 * count.
 */

export class InFlight {
  #count = 0;
  #isDraining = false;
  #whenIdle: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  /** Whether the server is stopping and refuses new work. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Counts one piece of work. Call the returned function when the work has ended; further calls do nothing. */
  enter(): () => void {
    this.#count += 1;
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      this.#count -= 1;
      if (this.#count === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    };
  }

  /** Refuses new work from now on. Resolves to true when no work is left, or to false after the timeout. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#isDraining = true;
    if (this.#count === 0) return true;
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#whenIdle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
}
