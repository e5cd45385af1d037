/**
 * The memory in which the grammar thread leaves the tokens that may come next in one sequence: two counters, flags, and a bit for each id.
 * The thread writes, the engine's own thread reads. A counter is stored after all that it stands for.
 */
// Indices are bounded by the layout, hence `!`.

/** Number of tokens whose flags are known, and of those whose mask is known, both plus one. 0: none yet. */
const READ = 0;
const FILLED = 1;
const FLAGS = 2;
const NUM_HEADERS = 3;

const MAY_END = 1;
const MUST_END = 2;
const FAILED = 4;

export class MaskSlot {
  readonly memory: SharedArrayBuffer;
  readonly #headers: Int32Array;
  readonly words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#headers = new Int32Array(memory, 0, NUM_HEADERS);
    this.words = new Int32Array(memory, NUM_HEADERS * 4);
  }

  static ofVocabulary(vocabSize: number): MaskSlot {
    return new MaskSlot(new SharedArrayBuffer(4 * (NUM_HEADERS + Math.ceil(vocabSize / 32))));
  }

  /** Forgets a former sequence. */
  reset(): void {
    this.#headers.fill(0);
  }

  /** Notes that `numTokens` tokens have been read. */
  writeFlags(numTokens: number, { mayEnd, mustEnd }: { readonly mayEnd: boolean; readonly mustEnd: boolean }): void {
    Atomics.store(this.#headers, FLAGS, (mayEnd ? MAY_END : 0) | (mustEnd ? MUST_END : 0));
    this.#publish(READ, numTokens);
  }

  /** Notes that the mask after `numTokens` tokens is there. */
  writeMask(numTokens: number, mask: Int32Array): void {
    this.words.set(mask);
    this.#publish(FILLED, numTokens);
  }

  /** Notes that no token can be chosen after `numTokens` tokens, because the grammar cannot be run. */
  writeFailure(numTokens: number): void {
    Atomics.store(this.#headers, FLAGS, FAILED);
    this.#publish(READ, numTokens);
    this.#publish(FILLED, numTokens);
  }

  #publish(counter: number, numTokens: number): void {
    Atomics.store(this.#headers, counter, numTokens + 1);
    Atomics.notify(this.#headers, counter);
  }

  /** Waits for the flags. @returns whether they are there */
  waitForFlags(numTokens: number, maxMs: number): boolean {
    return this.#wait(READ, numTokens, maxMs);
  }

  /** Waits for the mask. @returns whether it is there */
  waitForMask(numTokens: number, maxMs: number): boolean {
    return this.#wait(FILLED, numTokens, maxMs);
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

  get mayEnd(): boolean {
    return (Atomics.load(this.#headers, FLAGS) & MAY_END) !== 0;
  }

  get mustEnd(): boolean {
    return (Atomics.load(this.#headers, FLAGS) & MUST_END) !== 0;
  }

  get hasFailed(): boolean {
    return (Atomics.load(this.#headers, FLAGS) & FAILED) !== 0;
  }
}
