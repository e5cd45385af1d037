/**
 * Sequences that ended within the last seconds, and how many of them with an error. Kept in ten slices of the window.
 */
import type { SampleSlice } from "../store/counts/error-samples.ts";

const SLICES = 10;

export interface Count {
  readonly ended: number;
  readonly errors: number;
}

export class ErrorWindow {
  readonly #sliceMs: number;
  #slices: { number: number; ended: number; errors: number }[];

  /** @param slices of an earlier process, in order */
  constructor(windowSeconds: number, slices: readonly SampleSlice[] = []) {
    this.#sliceMs = (windowSeconds * 1000) / SLICES;
    this.#slices = slices.map((slice) => ({ ...slice }));
  }

  /** Unix times divided by a tenth of the window. */
  get slices(): readonly SampleSlice[] {
    return this.#slices.map((slice) => ({ ...slice }));
  }

  /** @param now Unix time in milliseconds, of a clock that goes only forward in one process */
  record(isError: boolean, now: number): void {
    const number = Math.floor(now / this.#sliceMs);
    let last = this.#slices.at(-1);
    if (last?.number !== number) {
      last = { number, ended: 0, errors: 0 };
      this.#slices = [...this.#current(now), last];
    }
    last.ended += 1;
    if (isError) last.errors += 1;
  }

  count(now: number): Count {
    return total(this.#current(now));
  }

  #current(now: number) {
    const first = Math.floor(now / this.#sliceMs) - SLICES + 1;
    // A later slice is from a process whose clock was ahead.
    return this.#slices.filter(({ number }) => number >= first && number < first + SLICES);
  }
}

/** The sum of several counts. */
export function total(counts: readonly Count[]): Count {
  return counts.reduce((sum, { ended, errors }) => ({ ended: sum.ended + ended, errors: sum.errors + errors }), {
    ended: 0,
    errors: 0,
  });
}
