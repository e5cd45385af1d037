/**
 * What one render may cost. A template is somebody's program: it may loop for ever or build gigabytes.
 * Counting is deterministic, so the same template fails the same way on every machine; the worker's clock is the second fence.
 */
import { JinjaError } from "./values.ts";

/** Evaluated nodes; a template of a current model takes some 100 a turn. This many take about a second. */
const MAX_STEPS = 5_000_000;
/** UTF-16 units built in all, intermediate strings included: far above any context, far below the heap. */
const MAX_UNITS = 256 * 1024 * 1024;
/** UTF-16 units of one string, and items of one list. */
const MAX_LENGTH = 32 * 1024 * 1024;
const MAX_DEPTH = 400;

/** Counts the cost of one render and stops it at the bounds. */
export class Budget {
  #steps = 0;
  #units = 0;
  #depth = 0;

  /** Nodes evaluated, or work worth as many. @throws {JinjaError} past the bound. */
  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > MAX_STEPS) throw new JinjaError(`the template does not end: stopped after ${MAX_STEPS} steps`);
  }

  /** A string of `length` units, or a list of that many items, about to be built. @throws {JinjaError} past the bounds. */
  spend(length: number): void {
    this.#units += length;
    this.step(length >> 6); // copying takes time too
    if (length > MAX_LENGTH || this.#units > MAX_UNITS) {
      throw new JinjaError(`the template builds too much text: stopped above ${MAX_LENGTH} characters`);
    }
  }

  /** Runs a macro or a recursive loop one level deeper. @throws {JinjaError} past the bound. */
  nested<T>(run: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new JinjaError("maximum recursion depth exceeded in the template");
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }
}
