/**
 * How many prompt tokens may come between two decode steps: what running rows have to wait, against what prompts have to wait.
 * Learns how long chunks and steps take from those of late. Pure, no clock of its own; where chunks are cut is not its business.
 */
import { CHUNK_TOKENS } from "../chunks.ts";

/** Rows that wait for their next token, or will. */
export interface Waiting {
  /** Decoding rows that have had no token since the last decode step. */
  readonly numDelayed: number;
  /** Decoding rows whose prompt was completed since then: their first token came with it. */
  readonly numJoined: number;
  /** Prompts with something left. */
  readonly numPrompts: number;
}

export interface PromptBudget {
  /** Tokens of any prompts. */
  readonly numTokens: number;
  /** Tokens as long as they complete prompts, whose rows then share the next decode step; never less. */
  readonly numCompleting: number;
}

/** Most prompt tokens between two decode steps while no row but new ones waits, in chunks. */
const MAX_CHUNKS = 16;
/** The same while others wait: what a burst of short prompts may take from streams that run. */
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
   * A chunk after every decode step costs running rows a chunk's time a token and nobody more, and a prompt gets more than half of
   * the time as long as a decode step takes no longer than a chunk. Where it takes longer, as many chunks as make up for it.
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
