/**
 * Decides how many prompt tokens may run between two decode steps. It balances the wait of running rows against the wait of prompts. It
 * learns the time of chunks and steps from recent ones. Pure, with no clock of its own. Chunk boundaries are decided in `chunks.ts`.
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
  /** Most tokens of any prompts. */
  readonly numTokens: number;
  /** Most tokens as long as they complete prompts, whose rows then share the next decode step. Never less than `numTokens`. */
  readonly numCompleting: number;
}

/** Most prompt tokens between two decode steps while only new rows wait, in chunks. */
const MAX_CHUNKS = 16;
/** Most prompt tokens between two decode steps while older rows wait: the share a burst of short prompts may take from running streams. */
const MAX_DELAYING_CHUNKS = 4;
/** Weight of the newest time in the running means. */
const NEWEST = 1 / 8;

export class Pace {
  #chunkSeconds: number | null = null;
  #decodeSeconds: number | null = null;

  noteChunk(numTokens: number, seconds: number): void {
    if (numTokens === CHUNK_TOKENS) this.#chunkSeconds = blended(this.#chunkSeconds, seconds);
  }

  noteDecode(seconds: number): void {
    this.#decodeSeconds = blended(this.#decodeSeconds, seconds);
  }

  /**
   * With one chunk after every decode step, each token of a running row costs one chunk's time more, and nobody else pays. A prompt then
   * gets at least half of the time, as long as a decode step takes no longer than a chunk. Where decode steps take longer, as many chunks
   * run as make up for it.
   */
  budget({ numDelayed, numJoined, numPrompts }: Waiting): PromptBudget {
    const numTokens = CHUNK_TOKENS * Math.min(MAX_CHUNKS, this.#chunksPerStep());
    const perDelayed = Math.floor((numPrompts + numJoined) / Math.max(1, numDelayed));
    const most = numDelayed === 0 ? MAX_CHUNKS : MAX_DELAYING_CHUNKS;
    return { numTokens, numCompleting: Math.max(numTokens, CHUNK_TOKENS * Math.min(most, perDelayed)) };
  }

  #chunksPerStep(): number {
    if (this.#chunkSeconds === null || this.#decodeSeconds === null) return 1;
    return Math.max(1, Math.ceil(this.#decodeSeconds / this.#chunkSeconds));
  }
}

function blended(mean: number | null, newest: number): number {
  return mean === null ? newest : mean + NEWEST * (newest - mean);
}
