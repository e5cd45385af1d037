/**
 * One sequence in the engine: what was asked, how far it is, and its times. Also the law of chunk boundaries.
 * Knows nothing of other sequences, rows or tensors.
 */
import { AppError } from "../errors.ts";
import type { FinishReason, SequenceFinished, SequenceSpec, TokenLogprob } from "./protocol.ts";
import type { ReadyAdapter } from "./runner.ts";
import { createSamplingState, recordToken, type SamplingState } from "./sampler.ts";

/** Prompts are prefilled in pieces of this many tokens; other boundaries would change the bits of the result. */
export const CHUNK_TOKENS = 64;

const NO_IDS: readonly number[] = [];

/** A piece of a prompt: `length` tokens from position `past` on. */
export interface Chunk {
  readonly past: number;
  readonly length: number;
  readonly isLast: boolean;
}

/** The chunk of a prompt that starts at `past`: boundaries at multiples of 64, then the tail, whatever the load is. */
export function chunkAt(numPromptTokens: number, past: number): Chunk {
  const length = Math.min(CHUNK_TOKENS - (past % CHUNK_TOKENS), numPromptTokens - past);
  return { past, length, isLast: past + length === numPromptTokens };
}

/** A sequence between its arrival and its end. Times are in ms of one monotonic clock. */
export class Sequence {
  readonly spec: SequenceSpec;
  readonly sampling: SamplingState;
  readonly promptLogprobs: TokenLogprob[] = [];
  /** Held from admission to the end, so a replaced adapter goes on serving the sequences that began with it. */
  adapter: ReadyAdapter | null = null;
  /** How long it could wait when it came, its deadline less the time then; null: not asked yet. */
  patienceMs: number | null = null;
  /** Prompt tokens whose keys and values are in its row. */
  numPrefilled = 0;
  /** Those of them that were taken from the prefix cache. */
  numCached = 0;
  /** Prompt tokens that the prefix cache had when this one was admitted. */
  numKnown = 0;
  numOutputTokens = 0;
  lastTokenId = -1;
  readonly #addedAt: number;
  #admittedAt: number | null = null;
  #prefilledAt: number | null = null;

  constructor(spec: SequenceSpec, now: number) {
    this.spec = spec;
    this.sampling = createSamplingState(spec.sampling, spec.promptIds);
    this.#addedAt = now;
  }

  get id(): number {
    return this.spec.id;
  }

  /** Tokens whose room in the KV cache is reserved at admission. */
  get numReservedTokens(): number {
    return this.spec.promptIds.length + this.spec.maxTokens;
  }

  /** Tokens in the KV cache while decoding: all but the last generated one, which the next step feeds. */
  get numCachedTokens(): number {
    return this.spec.promptIds.length + this.numOutputTokens - 1;
  }

  /** Prompt tokens that are still to be computed, as far as that is known before. */
  get numPromptLeft(): number {
    return this.spec.promptIds.length - Math.max(this.numPrefilled, this.numKnown);
  }

  nextChunk(): Chunk {
    return chunkAt(this.spec.promptIds.length, this.numPrefilled);
  }

  /** Ids that may not be chosen yet. */
  maskedIds(): readonly number[] {
    return this.numOutputTokens < this.spec.minTokens ? this.spec.stopIds : NO_IDS;
  }

  markAdmitted(now: number): void {
    this.#admittedAt = now;
  }

  markPrefilled(now: number): void {
    this.#prefilledAt = now;
  }

  /** Takes a generated token and says whether the sequence ends with it. */
  append(tokenId: number): FinishReason | null {
    recordToken(this.sampling, tokenId);
    this.lastTokenId = tokenId;
    this.numOutputTokens++;
    if (this.spec.stopIds.includes(tokenId)) return "stop";
    return this.numOutputTokens >= this.spec.maxTokens ? "length" : null;
  }

  finished(reason: FinishReason, now: number): SequenceFinished {
    const admittedAt = this.#admittedAt ?? now;
    const prefilledAt = this.#prefilledAt ?? now;
    return {
      id: this.id,
      reason,
      queueSeconds: (admittedAt - this.#addedAt) / 1000,
      prefillSeconds: (prefilledAt - admittedAt) / 1000,
      decodeSeconds: (now - prefilledAt) / 1000,
    };
  }
}

/**
 * Refuses what the runner cannot be asked.
 * @throws {AppError} invalid_request; context_length_exceeded where prompt and answer are longer than the model takes.
 */
export function checkSpec(
  spec: Omit<SequenceSpec, "id">,
  limits: { readonly vocabSize: number; readonly maxModelLen: number },
): void {
  const isToken = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < limits.vocabSize;
  const numPrompt = spec.promptIds.length;
  if (numPrompt === 0) throw new AppError("invalid_request", "The prompt is empty; give at least one token.");
  if (!Number.isInteger(spec.maxTokens) || spec.maxTokens < 0)
    throw new AppError("invalid_request", `max_tokens must be a whole number from 0 on, found ${spec.maxTokens}.`);
  if (numPrompt + spec.maxTokens > limits.maxModelLen)
    throw new AppError(
      "context_length_exceeded",
      `The context holds ${limits.maxModelLen} tokens, but ${numPrompt} of the prompt and ${spec.maxTokens} to generate were asked for. Shorten the prompt or max_tokens.`,
    );
  const stray = spec.promptIds.find((id) => !isToken(id)) ?? spec.sampling.logitBias.find(([id]) => !isToken(id))?.[0];
  const foreign = stray ?? spec.stopIds.find((id) => !isToken(id));
  if (foreign !== undefined)
    throw new AppError("invalid_request", `Token ids go from 0 to ${limits.vocabSize - 1}, found ${foreign}.`);
}
