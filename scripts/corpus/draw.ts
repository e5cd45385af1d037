/**
 * Seeded choices for the corpus, and the split: every name, number and combination belongs to training or to the
 * held-out texts by its hash alone, so that nothing held out can slip into training. Knows no texts.
 */
import { createHash } from "node:crypto";
import { nextUint32, nextUniform, type RandomState, seedRandom } from "../../src/tensor/random.ts";

/** Which side of the split the drawn names, numbers and combinations are on. */
export type Split = "training" | "held-out";

/**
 * Stands between the syllables of made-up names. The corpus is written without it; the tokenizer's sample keeps it, so
 * that names stay in syllables and one that was never seen is as easy to copy as any other.
 */
export const SEAM = "\uE000";

/** A text as the model gets it. */
export function withoutSeams(text: string): string {
  return text.replaceAll(SEAM, "");
}

/** One in this many values is held out. */
const HELD_OUT_ONE_IN = 8;

/** Whether a value is never to be seen in training. */
export function isHeldOut(value: string): boolean {
  return createHash("sha256").update(withoutSeams(value)).digest().readUInt32LE(0) % HELD_OUT_ONE_IN === 0;
}

/** A stream of choices. */
export class Draw {
  readonly split: Split;
  readonly #state: RandomState;

  constructor(seed: number, split: Split) {
    this.split = split;
    this.#state = seedRandom(seed);
  }

  /** @param min and `max` are both possible. */
  int(min: number, max: number): number {
    return min + (nextUint32(this.#state) % (max - min + 1));
  }

  chance(probability: number): boolean {
    return nextUniform(this.#state) < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.int(0, items.length - 1)];
    if (item === undefined) throw new Error("internal: nothing to pick from");
    return item;
  }

  /** By weight. */
  weighted<T>(items: readonly (readonly [number, T])[]): T {
    const total = items.reduce((sum, [weight]) => sum + weight, 0);
    let left = nextUniform(this.#state) * total;
    for (const [weight, item] of items) {
      left -= weight;
      if (left < 0) return item;
    }
    return this.pick(items)[1];
  }

  /** Different ones, in random order. */
  some<T>(items: readonly T[], count: number): T[] {
    const left = [...items];
    // Count is below the length.
    return Array.from({ length: count }, () => left.splice(this.int(0, left.length - 1), 1)[0] as T);
  }

  /** A value of this side of the split. */
  ours(make: () => string): string {
    for (;;) {
      const value = make();
      if (isHeldOut(value) === (this.split === "held-out")) return value;
    }
  }
}
