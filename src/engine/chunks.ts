/**
 * Chunk boundaries of a prompt, which depend on the prompt alone. Load decides when a chunk runs, never how long it is.
 * Different boundaries would change the bits of the result.
 */

/** Tokens of a whole chunk. */
export const CHUNK_TOKENS = 64;

/** A piece of a prompt: `length` tokens from position `past` on. */
export interface Chunk {
  readonly past: number;
  readonly length: number;
  readonly isLast: boolean;
}

/** The chunk of a prompt that starts at `past`. Boundaries are at multiples of 64, then the tail, under any load. */
export function chunkAt(numPromptTokens: number, past: number): Chunk {
  const length = Math.min(CHUNK_TOKENS - (past % CHUNK_TOKENS), numPromptTokens - past);
  return { past, length, isLast: past + length === numPromptTokens };
}
