/**
 * The memory in which the grammar thread leaves the tokens that may come next in one sequence: counters, flags, and a
 * bit for each id. It also has the drafted tokens, with flags and a mask for the place after each. The
 * grammar thread writes, and the engine's own thread reads. A counter is stored after the data that it announces.
 */
// Indices are bounded by the layout, hence `!`.
import type { AnswerPlace } from "../contracts.ts";

/**
 * Three counters of tokens, plus one each: flags are known, the mask is known, the masks after drafted tokens are
 * known. 0: none yet.
 */
const READ = 0;
const FILLED = 1;
const FOLLOWED = 2;
const FLAGS = 3;
const NUM_DRAFTED = 4;
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
  /** Maximum number of drafted tokens. */
  readonly maxDraft: number;
}

export class MaskSlot {
  readonly memory: SharedArrayBuffer;
  readonly #headers: Int32Array;
  /** Ids of drafted tokens, and the flags after each. */
  readonly #draftIds: Int32Array;
  readonly #draftFlags: Int32Array;
  /** The mask of the next token, then the masks after each drafted one. */
  readonly #masks: readonly Int32Array[];

  constructor(memory: SharedArrayBuffer, { vocabSize, maxDraft }: SlotSize) {
    const numWords = Math.ceil(vocabSize / 32);
    const numBefore = NUM_HEADERS + 2 * maxDraft;
    this.memory = memory;
    this.#headers = new Int32Array(memory, 0, NUM_HEADERS);
    this.#draftIds = new Int32Array(memory, NUM_HEADERS * 4, maxDraft);
    this.#draftFlags = new Int32Array(memory, (NUM_HEADERS + maxDraft) * 4, maxDraft);
    this.#masks = Array.from(
      { length: maxDraft + 1 },
      (_, i) => new Int32Array(memory, (numBefore + i * numWords) * 4, numWords),
    );
  }

  static ofSize(size: SlotSize): MaskSlot {
    const { vocabSize, maxDraft } = size;
    const numInts = NUM_HEADERS + 2 * maxDraft + (maxDraft + 1) * Math.ceil(vocabSize / 32);
    return new MaskSlot(new SharedArrayBuffer(4 * numInts), size);
  }

  /** Forgets a former sequence. */
  reset(): void {
    this.#headers.fill(0);
  }

  /** Notes that `numTokens` tokens have been read, and which tokens are drafted after them. */
  writeFlags(numTokens: number, flags: EndFlags, draft: readonly number[]): void {
    this.#draftIds.set(draft);
    Atomics.store(this.#headers, NUM_DRAFTED, draft.length);
    Atomics.store(this.#headers, FLAGS, flagBits(flags));
    this.#publish(READ, numTokens);
  }

  /** Notes that the mask after `numTokens` tokens is complete. */
  writeMask(numTokens: number, mask: Int32Array): void {
    this.#masks[0]!.set(mask);
    this.#publish(FILLED, numTokens);
  }

  /** Writes the ids that may follow after `at` + 1 drafted tokens. */
  writeFollowing(at: number, mask: Int32Array, flags: EndFlags): void {
    this.#masks[at + 1]!.set(mask);
    this.#draftFlags[at] = flagBits(flags);
  }

  /** Notes that the masks after the drafted tokens are complete. */
  finishFollowing(numTokens: number): void {
    this.#publish(FOLLOWED, numTokens);
  }

  /** Notes that no token can be chosen after `numTokens` tokens, because the grammar cannot be run. */
  writeFailure(numTokens: number): void {
    Atomics.store(this.#headers, NUM_DRAFTED, 0);
    Atomics.store(this.#headers, FLAGS, FAILED);
    this.#publish(READ, numTokens);
    this.#publish(FILLED, numTokens);
  }

  #publish(counter: number, numTokens: number): void {
    Atomics.store(this.#headers, counter, numTokens + 1);
    Atomics.notify(this.#headers, counter);
  }

  /** Waits for the flags and the drafted tokens. @returns whether they are there */
  waitForFlags(numTokens: number, maxMs: number): boolean {
    return this.#wait(READ, numTokens, maxMs);
  }

  /** Waits for the mask. @returns whether it is there */
  waitForMask(numTokens: number, maxMs: number): boolean {
    return this.#wait(FILLED, numTokens, maxMs);
  }

  /** Waits for the masks after the drafted tokens. @returns whether they are there */
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

  /** The drafted tokens. */
  draft(): readonly number[] {
    return [...this.#draftIds.subarray(0, Atomics.load(this.#headers, NUM_DRAFTED))];
  }

  /** The next place. Its words are not copied. */
  next(): AnswerPlace {
    return { words: this.#masks[0]!, ...endFlags(Atomics.load(this.#headers, FLAGS)) };
  }

  /** Copies of the next place and of the places after each of `count` drafted tokens. */
  copyPlaces(count: number): readonly AnswerPlace[] {
    const after = Array.from({ length: count }, (_, i) => ({
      words: this.#masks[i + 1]!.slice(),
      ...endFlags(this.#draftFlags[i]!),
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
