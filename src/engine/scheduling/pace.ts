/**
 * Decides how many prompt tokens may run between two decode steps. It balances the wait of running rows against the
 * wait of prompts. It learns the time of steps from recent ones. Pure, with no clock of its own. Chunk boundaries are
 * decided in `chunks.ts`, and a late chunk counts as the tokens that would take as long at the beginning of a prompt.
 */
import { CHUNK_TOKENS } from "../chunks.ts";

/** Counts of rows that wait for their next token, or will. */
export interface Waiting {
  /** Decoding rows without a token since the last decode step. */
  readonly numDelayed: number;
  /** Decoding rows whose prompt was completed since the last decode step. Their first token came with it. */
  readonly numJoined: number;
  /** Prompts with tokens left to prefill. */
  readonly numPrompts: number;
}

export interface PromptBudget {
  /** Maximum number of tokens, of any prompts. */
  readonly numTokens: number;
  /**
   * Maximum number of tokens if they complete prompts, whose rows then share the next decode step. Never less than
   * `numTokens`.
   */
  readonly numCompleting: number;
}

/** Maximum number of chunks between two decode steps while only new rows wait. */
const MAX_CHUNKS = 16;
/**
 * Maximum number of prompt tokens between two decode steps while older rows wait. It limits what a burst of short
 * prompts takes from running streams.
 */
const MAX_DELAYING_CHUNKS = 4;
/** Weight of the newest time in the running mean. */
const NEWEST = 1 / 8;

export class Pace {
  /** Time of the chunks since the last decode step. */
  #spentSeconds = 0;
  #decodeSeconds: number | null = null;

  noteChunk(seconds: number): void {
    this.#spentSeconds += seconds;
  }

  noteDecode(seconds: number): void {
    const mean = this.#decodeSeconds;
    this.#decodeSeconds = mean === null ? seconds : mean + NEWEST * (seconds - mean);
  }

  /** Notes that every decoding row has made progress. */
  noteRowsServed(): void {
    this.#spentSeconds = 0;
  }

  /**
   * One chunk after every decode step delays each token of a running row by one chunk's time. A prompt then gets at
   * least half of the time, if a decode step takes no longer than a chunk. If decode steps take longer, more chunks run
   * to make up for it.
   */
  budget({ numDelayed, numJoined, numPrompts }: Waiting): PromptBudget {
    const hasTimeLeft = this.#spentSeconds < (this.#decodeSeconds ?? 0);
    const numTokens = CHUNK_TOKENS * (hasTimeLeft ? MAX_CHUNKS : 1);
    const perDelayed = Math.floor((numPrompts + numJoined) / Math.max(1, numDelayed));
    const most = numDelayed === 0 ? MAX_CHUNKS : MAX_DELAYING_CHUNKS;
    return { numTokens, numCompleting: Math.max(numTokens, CHUNK_TOKENS * Math.min(most, perDelayed)) };
  }
}
