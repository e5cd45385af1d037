/**
 * The memory in which the grammar thread leaves the tokens that may come next in one sequence: counters, flags, and a
 * bit for each id. It also has the tokens that the grammar forces, with flags and a mask for the place after each. The
 * grammar thread writes, and the engine's own thread reads. A counter is stored after the data that it announces.
 */
// Indices are bounded by the layout, hence `!`.
import type { AnswerPlace } from "../contracts.ts";

/**
 * Three counters of tokens, plus one each: flags are known, the mask is known, the masks after forced tokens are known.
 * 0: none yet.
 */
const READ = 0;
const FILLED = 1;
const FOLLOWED = 2;
const FLAGS = 3;
const NUM_FORCED = 4;
const NUM_HEADERS = 5;

const MAY_END = 1;
const MUST_END = 2;
const FAILED = 4;

export interface EndFlags {
  readonly mayEnd: boolean;
  readonly mustEnd: boolean;
}

export interface SlotSize {
  readonly vocabSize: number;
  /** Maximum number of forced tokens. */
  readonly maxForced: number;
}

export class MaskSlot {
  readonly memory: SharedArrayBuffer;
  readonly #headers: Int32Array;
  /** Ids of forced tokens, and the flags after each. */
  readonly #forcedIds: Int32Array;
  readonly #forcedFlags: Int32Array;
  /** The mask of the next token, then the masks after each forced one. */
  readonly #masks: readonly Int32Array[];

  constructor(memory: SharedArrayBuffer, { vocabSize, maxForced }: SlotSize) {
    const numWords = Math.ceil(vocabSize / 32);
    const numBefore = NUM_HEADERS + 2 * maxForced;
    this.memory = memory;
    this.#headers = new Int32Array(memory, 0, NUM_HEADERS);
    this.#forcedIds = new Int32Array(memory, NUM_HEADERS * 4, maxForced);
    this.#forcedFlags = new Int32Array(memory, (NUM_HEADERS + maxForced) * 4, maxForced);
    this.#masks = Array.from(
      { length: maxForced + 1 },
      (_, i) => new Int32Array(memory, (numBefore + i * numWords) * 4, numWords),
    );
  }

  static ofSize(size: SlotSize): MaskSlot {
    const { vocabSize, maxForced } = size;
    const numInts = NUM_HEADERS + 2 * maxForced + (maxForced + 1) * Math.ceil(vocabSize / 32);
    return new MaskSlot(new SharedArrayBuffer(4 * numInts), size);
  }

  /** Forgets a former sequence. */
  reset(): void {
    this.#headers.fill(0);
  }

  /** Notes that `numTokens` tokens have been read, and which tokens the grammar forces after them. */
  writeFlags(numTokens: number, flags: EndFlags, forced: readonly number[]): void {
    this.#forcedIds.set(forced);
    Atomics.store(this.#headers, NUM_FORCED, forced.length);
    Atomics.store(this.#headers, FLAGS, flagBits(flags));
    this.#publish(READ, numTokens);
  }

  /** Notes that the mask after `numTokens` tokens is complete. */
  writeMask(numTokens: number, mask: Int32Array): void {
    this.#masks[0]!.set(mask);
    this.#publish(FILLED, numTokens);
  }

  /** Writes the ids that may follow after `at` + 1 forced tokens. */
  writeFollowing(at: number, mask: Int32Array, flags: EndFlags): void {
    this.#masks[at + 1]!.set(mask);
    this.#forcedFlags[at] = flagBits(flags);
  }

  /** Notes that the masks after the forced tokens are complete. */
  finishFollowing(numTokens: number): void {
    this.#publish(FOLLOWED, numTokens);
  }

  /** Notes that no token can be chosen after `numTokens` tokens, because the grammar cannot be run. */
  writeFailure(numTokens: number): void {
    Atomics.store(this.#headers, NUM_FORCED, 0);
    Atomics.store(this.#headers, FLAGS, FAILED);
    this.#publish(READ, numTokens);
    this.#publish(FILLED, numTokens);
  }

  #publish(counter: number, numTokens: number): void {
    Atomics.store(this.#headers, counter, numTokens + 1);
    Atomics.notify(this.#headers, counter);
  }

  /** Waits for the flags and the forced tokens. @returns whether they are there */
  waitForFlags(numTokens: number, maxMs: number): boolean {
    return this.#wait(READ, numTokens, maxMs);
  }

  /** Waits for the mask. @returns whether it is there */
  waitForMask(numTokens: number, maxMs: number): boolean {
    return this.#wait(FILLED, numTokens, maxMs);
  }

  /** Waits for the masks after the forced tokens. @returns whether they are there */
  waitForFollowing(numTokens: number, maxMs: number): boolean {
    return this.#wait(FOLLOWED, numTokens, maxMs);
  }

  #wait(counter: number, numTokens: number, maxMs: number): boolean {
    const endsAt = performance.now() + maxMs;
    for (;;) {
      const value = Atomics.load(this.#headers, counter);
      if (value === numTokens + 1) return true;
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0) return false;
      Atomics.wait(this.#headers, counter, value, leftMs);
    }
  }

  get mustEnd(): boolean {
    return (Atomics.load(this.#headers, FLAGS) & MUST_END) !== 0;
  }

  get hasFailed(): boolean {
    return (Atomics.load(this.#headers, FLAGS) & FAILED) !== 0;
  }

  /** The tokens that the grammar forces. */
  forced(): readonly number[] {
    return [...this.#forcedIds.subarray(0, Atomics.load(this.#headers, NUM_FORCED))];
  }

  /** The next place. Its words are not copied. */
  next(): AnswerPlace {
    return { words: this.#masks[0]!, ...endFlags(Atomics.load(this.#headers, FLAGS)) };
  }

  /** Copies of the next place and of the places after each of `count` forced tokens. */
  copyPlaces(count: number): readonly AnswerPlace[] {
    const after = Array.from({ length: count }, (_, i) => ({
      words: this.#masks[i + 1]!.slice(),
      ...endFlags(this.#forcedFlags[i]!),
    }));
    const next = this.next();
    return [{ ...next, words: next.words.slice() }, ...after];
  }
}

function flagBits({ mayEnd, mustEnd }: EndFlags): number {
  return (mayEnd ? MAY_END : 0) | (mustEnd ? MUST_END : 0);
}

function endFlags(bits: number): EndFlags {
  return { mayEnd: (bits & MAY_END) !== 0, mustEnd: (bits & MUST_END) !== 0 };
}
