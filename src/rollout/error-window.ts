/** Sequences that ended within the last seconds, and how many of them with an error. Kept in ten slices of the window. */

const SLICES = 10;

export interface Count {
  readonly ended: number;
  readonly errors: number;
}

export class ErrorWindow {
  readonly #sliceMs: number;
  #slices: { number: number; ended: number; errors: number }[] = [];

  constructor(windowSeconds: number) {
    this.#sliceMs = (windowSeconds * 1000) / SLICES;
  }

  /** @param now in milliseconds, of a clock that only goes forward */
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
    return this.#slices.filter(({ number }) => number >= first);
  }
}

/** The sum of several counts. */
export function total(counts: readonly Count[]): Count {
  return counts.reduce((sum, { ended, errors }) => ({ ended: sum.ended + ended, errors: sum.errors + errors }), {
    ended: 0,
    errors: 0,
  });
}
