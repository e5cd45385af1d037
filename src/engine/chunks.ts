/**
 * Chunk boundaries of a prompt, which depend on the prompt alone. Load decides when a chunk runs, never how long it is.
 * Different boundaries would change the bits of the result.
 */

/** Tokens of a whole chunk at the beginning of a prompt. Prefixes are kept and reused in pieces of this length. */
export const CHUNK_TOKENS = 64;
/** Tokens of a whole chunk from `LATE_PAST` on. */
const LATE_CHUNK_TOKENS = 32;
/**
 * From this position on, attention to the tokens before makes 64 tokens take too long for the streams beside them. With
 * 0.5 B parameters, its last quarter takes 1.2 times the mean of a prompt of 4096 tokens (docs/decisions/engine, 8).
 */
const LATE_PAST = 2048;

/** A piece of a prompt: `length` tokens from position `past` on. */
export interface Chunk {
  readonly past: number;
  readonly length: number;
  readonly isLast: boolean;
}

/**
 * The chunk of a prompt that starts at `past`. Boundaries are at multiples of 64 up to position 2048, then at multiples
 * of 32, then the tail, under any load.
 */
export function chunkAt(numPromptTokens: number, past: number): Chunk {
  const whole = wholeChunkAt(past);
  const length = Math.min(whole - (past % whole), numPromptTokens - past);
  return { past, length, isLast: past + length === numPromptTokens };
}

/** Tokens that would take about as long as this chunk at the beginning of a prompt. */
export function costOf({ past, length }: Pick<Chunk, "past" | "length">): number {
  return (length * CHUNK_TOKENS) / wholeChunkAt(past);
}

/** The first position of a piece that ends with this chunk and can be reused; null: the chunk ends within a piece. */
export function reusablePastAt({ past, length }: Pick<Chunk, "past" | "length">): number | null {
  const end = past + length;
  return end % CHUNK_TOKENS === 0 ? end - CHUNK_TOKENS : null;
}

function wholeChunkAt(past: number): number {
  return past < LATE_PAST ? CHUNK_TOKENS : LATE_CHUNK_TOKENS;
}
