/** The position of one answer in a grammar: the tokens so far, and the tokens that may come next. */
import type { Automaton, State } from "./automaton.ts";
import { fillMask } from "./fill-mask.ts";
import { forcedText } from "./forced-text.ts";
import { SpacingHabit } from "./spacing-habit.ts";
import { SpellingMemory } from "./spelling-memory.ts";
import type { TokenTrie } from "./token-trie.ts";

/** Longest time for the tokens of one state. */
const MAX_MASK_MS = 1000;

/** A model's vocabulary, as answers are read. */
export interface Vocabulary {
  /** Bytes of a token; null: no grammar allows it. */
  readonly bytesOf: (id: number) => Uint8Array | null;
  readonly trie: TokenTrie;
  /** Contents of the special tokens. */
  readonly specials: readonly string[];
  /** Spaces that the decoder leaves out when an answer begins with them. */
  readonly numSkippedSpaces: number;
}

/** Number of bytes of a forced text that are considered for each of its tokens. */
const BYTES_PER_TOKEN = 8;

export class Matcher {
  readonly #automaton: Automaton;
  readonly #vocabulary: Vocabulary;
  #state: State;
  readonly #habit = new SpacingHabit();
  readonly #spelling: SpellingMemory;

  constructor(automaton: Automaton, vocabulary: Vocabulary) {
    this.#automaton = automaton;
    this.#vocabulary = vocabulary;
    this.#spelling = new SpellingMemory(vocabulary.bytesOf, vocabulary.trie);
    this.#state = automaton.start(vocabulary.numSkippedSpaces);
  }

  /** A matcher at the same position, to look ahead. It does not know how this answer has been spelled so far. */
  lookAhead(): Matcher {
    const ahead = new Matcher(this.#automaton, this.#vocabulary);
    ahead.#state = this.#state;
    return ahead;
  }

  /** The tokens that probably come next, as far as the grammar allows only one text. */
  forcedTokens(max: number): readonly number[] {
    if (max === 0) return [];
    this.#state = this.#automaton.current(this.#state);
    const text = forcedText(this.#automaton, this.#state, this.#habit, max * BYTES_PER_TOKEN);
    return this.#spelling.spell(text, max);
  }

  /** Whether the answer may end here. */
  get isAccepting(): boolean {
    return this.#state.isAccepting;
  }

  /** Whether the answer must end here. */
  get isComplete(): boolean {
    return this.#state.isComplete;
  }

  /** Reads a token. @returns whether it was allowed; if not, the matcher does not change */
  accept(tokenId: number): boolean {
    const bytes = this.#vocabulary.bytesOf(tokenId);
    if (bytes === null) return false;
    let state: State | null = this.#state;
    for (const byte of bytes) {
      state = this.#automaton.step(state, byte);
      if (state === null) return false;
    }
    for (const byte of bytes) this.#habit.read(byte);
    this.#spelling.read(tokenId);
    this.#automaton.forgetIfFull();
    this.#state = this.#automaton.current(state);
    return true;
  }

  /** Ids that may come next, one bit for each. Read only. @throws {AppError} invalid_request */
  mask(): Int32Array {
    this.#state = this.#automaton.current(this.#state);
    const known = this.#state.mask;
    if (known !== null) return known;
    const mask = fillMask(this.#automaton, this.#state, this.#vocabulary.trie, MAX_MASK_MS);
    this.#automaton.keepMask(this.#state, mask);
    return mask;
  }
}
