/**
 * The budget of one render. A template is untrusted code that may loop for ever or build gigabytes. Counting is
 * deterministic, so a template fails the same way on every machine. The worker's time limit is a second limit.
 */
import { JinjaError } from "./values.ts";

/** Evaluated nodes. A template of a current model needs some 100 for each message. This many take about a second. */
const MAX_STEPS = 5_000_000;
/** UTF-16 units built in total, including intermediate strings: far above any context, far below the heap. */
const MAX_UNITS = 256 * 1024 * 1024;
/** UTF-16 units of one string, and items of one list. */
const MAX_LENGTH = 32 * 1024 * 1024;
const MAX_CALL_DEPTH = 400;

/** Counts the cost of one render and stops it at the bounds. */
export class Budget {
  #steps = 0;
  #units = 0;
  #depth = 0;

  /** Counts evaluated nodes, or work of equal cost. @throws {JinjaError} past the bound. */
  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > MAX_STEPS) throw new JinjaError(`the template does not end: stopped after ${MAX_STEPS} steps`);
  }

  /**
   * Counts a string of `length` units, or a list of that many items, before it is built. @throws {JinjaError} past the
   * bounds.
   */
  spend(length: number): void {
    this.#units += length;
    this.step(length >> 6); // copying takes time too
    if (length > MAX_LENGTH || this.#units > MAX_UNITS) {
      throw new JinjaError(`the template builds too much text: stopped above ${MAX_LENGTH} characters`);
    }
  }

  /** Runs a macro or a recursive loop one level deeper. @throws {JinjaError} past the bound. */
  nested<T>(run: () => T): T {
    if (++this.#depth > MAX_CALL_DEPTH) throw new JinjaError("maximum recursion depth exceeded in the template");
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }
}
