/** Random choices of one run. The same seed, target and run give the same input on every machine. */
import { nextUint32, type RandomState, seedRandom } from "../../src/tensor/random.ts";

export class Random {
  readonly #state: RandomState;

  constructor(seed: number, run: number) {
    this.#state = seedRandom((seed + Math.imul(run, 0x9e3779b1)) >>> 0);
    nextUint32(this.#state);
  }

  /** 0 to n − 1. */
  below(n: number): number {
    return nextUint32(this.#state) % Math.max(1, n);
  }

  /** True once in n times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }

  one<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T; // no list here is empty
  }

  /** 1 to n, small numbers more often. */
  few(n: number): number {
    return 1 + this.below(1 + this.below(n));
  }
}
