/**
 * One sequence in the engine: its request, its progress and its times. Knows nothing of other sequences, rows or
 * tensors.
 */
import type { FinishReason, SequenceFinished, SequenceSpec, PromptLogprob } from "../protocol.ts";
import { type Chunk, chunkAt } from "../chunks.ts";
import type { AnswerText, BoundGrammar, DraftLimits, ReadyAdapter } from "../contracts.ts";
import { Pool } from "../pooling.ts";
import { PromptLookup } from "../prompt-lookup.ts";
import { createSamplingState, recordToken, type SamplingState } from "../sampling/sampling-state.ts";
import { DraftPolicy } from "./draft-policy.ts";

const NO_IDS: readonly number[] = [];

/** Guesses for the next tokens of an answer: ids from a text, or a number of tokens that the draft model guesses. */
export type Draft =
  | { readonly source: "text"; readonly ids: readonly number[] }
  | { readonly source: "model"; readonly count: number };

/** The guesses that sequences may use. */
export interface DraftSettings {
  /** Greatest number of tokens that one run computes beyond the next; 0: each token has a step of its own. */
  readonly maxDraft: number;
  /** null: guesses come from text alone. */
  readonly model: DraftLimits | null;
}

const NO_DRAFTS: DraftSettings = { maxDraft: 0, model: null };

/** A sequence between its arrival and its end. Times are in ms of one monotonic clock. */
export class Sequence implements AnswerText {
  readonly spec: SequenceSpec;
  readonly sampling: SamplingState;
  readonly promptLogprobs: PromptLogprob[] = [];
  readonly pool = new Pool();
  /** Held from admission to the end, so a replaced adapter continues to serve the sequences that began with it. */
  adapter: ReadyAdapter | null = null;
  /** Bound at admission; null: the answer is free. */
  grammar: BoundGrammar | null = null;
  /** Time in ms from arrival to the deadline; null: not computed yet. */
  patienceMs: number | null = null;
  /** Prompt tokens whose keys and values are in its row. */
  numPrefilled = 0;
  /** Prefilled tokens that came from the prefix cache. */
  numCached = 0;
  /** Prompt tokens that the prefix cache held when this sequence was admitted. */
  numKnown = 0;
  numOutputTokens = 0;
  lastTokenId = -1;
  readonly #draftPolicy = new DraftPolicy();
  /** null: no drafts, or drafts of the grammar. */
  readonly #lookup: PromptLookup | null;
  readonly #maxDraft: number;
  /** null: it guesses nothing for this sequence, because the answer has a grammar or it does not know a token. */
  #model: DraftLimits | null;
  readonly #outputIds: number[] = [];
  /** The draft after `numOutputTokens` tokens. */
  #draft: { readonly numOutputTokens: number; readonly draft: Draft | null } | null = null;
  readonly #addedAt: number;
  #adapterWaitSince: number | null = null;
  #admittedAt: number | null = null;
  #prefilledAt: number | null = null;

  constructor(spec: SequenceSpec, now: number, { maxDraft, model }: DraftSettings = NO_DRAFTS) {
    this.spec = spec;
    this.#maxDraft = maxDraft;
    this.#lookup = maxDraft > 0 && !spec.grammar ? new PromptLookup(spec.promptIds) : null;
    this.#model = model !== null && !spec.grammar && spec.promptIds.every((id) => id < model.vocabSize) ? model : null;
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

  /** Prompt tokens that must still be computed, as far as this can be known in advance. */
  get numPromptLeft(): number {
    return this.spec.promptIds.length - Math.max(this.numPrefilled, this.numKnown);
  }

  nextChunk(): Chunk {
    return chunkAt(this.spec.promptIds.length, this.numPrefilled);
  }

  /**
   * How the tokens that probably come next are guessed: those that leave room for one more token, and are worth
   * guessing. null: no token is worth it. It depends on this sequence alone.
   */
  draft(): Draft | null {
    const { numOutputTokens } = this;
    if (this.#maxDraft === 0 || numOutputTokens === 0) return null;
    if (this.#draft?.numOutputTokens === numOutputTokens) return this.#draft.draft;
    const ids = this.grammar === null ? null : this.grammar.draft(0);
    if (ids === null && this.grammar !== null) return null; // not known yet
    const max = Math.min(this.spec.maxTokens - numOutputTokens - 1, this.#maxDraft);
    const draft = this.#draftOfText(ids, max) ?? this.#draftOfModel(max);
    this.#draft = { numOutputTokens, draft };
    return draft;
  }

  /** @param ofGrammar the draft of a grammar; null: the answer is free */
  #draftOfText(ofGrammar: readonly number[] | null, max: number): Draft | null {
    const { ids, matchLength } = ofGrammar
      ? { ids: ofGrammar, matchLength: null }
      : (this.#lookup?.draft(max) ?? { ids: NO_IDS, matchLength: 0 });
    if (ids.length === 0) return null;
    const numWorth = this.#draftPolicy.numWorth(matchLength, Math.min(max, ids.length));
    return numWorth === 0 ? null : { source: "text", ids: ids.slice(0, numWorth) };
  }

  #draftOfModel(max: number): Draft | null {
    if (this.#model === null) return null;
    const { guessCost, maxModelLen } = this.#model;
    const room = maxModelLen - this.numTokens + 1; // the model does not read its last guess
    const count = this.#draftPolicy.numWorthGuessing(guessCost, Math.min(max, room));
    return count === 0 ? null : { source: "model", count };
  }

  /** Notes the outcome of a draft. */
  noteDraft(numDrafted: number, numAccepted: number): void {
    this.#draftPolicy.note(numDrafted, numAccepted);
  }

  get numTokens(): number {
    return this.spec.promptIds.length + this.numOutputTokens;
  }

  tokenAt(index: number): number {
    const { promptIds } = this.spec;
    const id = index < promptIds.length ? promptIds[index] : this.#outputIds[index - promptIds.length];
    if (id === undefined) throw new Error(`internal: sequence ${this.id} has no token ${index}`);
    return id;
  }

  maskedIds(numOutputTokens = this.numOutputTokens): readonly number[] {
    return numOutputTokens < this.spec.minTokens ? this.spec.stopIds : NO_IDS;
  }

  /** Its turn had come, but its adapter was not ready. */
  markAdapterWait(now: number): void {
    this.#adapterWaitSince ??= now;
  }

  markAdmitted(now: number): void {
    this.#admittedAt = now;
  }

  markPrefilled(now: number): void {
    this.#prefilledAt = now;
  }

  /** Appends a generated token. Returns why the sequence ends with it, or null where it continues. */
  append(tokenId: number): FinishReason | null {
    recordToken(this.sampling, tokenId);
    this.grammar?.read(tokenId);
    this.#lookup?.read(tokenId);
    this.#outputIds.push(tokenId);
    this.lastTokenId = tokenId;
    this.numOutputTokens++;
    if (this.#model !== null && tokenId >= this.#model.vocabSize) this.#model = null;
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
      adapterSeconds: (admittedAt - (this.#adapterWaitSince ?? admittedAt)) / 1000,
      prefillSeconds: (prefilledAt - admittedAt) / 1000,
      decodeSeconds: (now - prefilledAt) / 1000,
    };
  }
}
