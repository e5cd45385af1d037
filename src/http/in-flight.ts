/** How many requests are being worked on, and whether new ones are still taken: what a graceful stop waits for. */

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

  /** Counts one piece of work; call what it returns once, when it has ended. Further calls do nothing. */
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

  /** Refuses new work from now on. Resolves true when nothing runs any more, false when that took longer than the timeout. */
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
