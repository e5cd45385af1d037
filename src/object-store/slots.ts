/**
 * A bound on operations that cannot be cancelled. The caller leaves when its time is up, and the operation keeps its
 * slot until it ends.
 */
import { PassingFault } from "./request-policy.ts";

export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  /** @throws {PassingFault} the signal was aborted before the work ended */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const late = new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(new PassingFault("it does not answer in time")), { once: true }),
    );
    late.catch(() => {}); // the work may end first
    await Promise.race([this.#take(signal), late]);
    const running = work().finally(() => this.#give());
    running.catch(() => {}); // nobody may be waiting any more
    return await Promise.race([running, late]);
  }

  async #take(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => this.#leave(resolve), { once: true });
    });
  }

  #leave(resolve: () => void): void {
    const at = this.#waiting.indexOf(resolve);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
