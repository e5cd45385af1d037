/**
 * The interfaces between the engine loop and a model: prefill one chunk, decode one step, rows of a bounded KV cache,
 * ready adapters. Types only, so that the loop knows no tensors, sessions or files. Implemented by `model-runner.ts`,
 * `batch-rows.ts` and `ready-adapters.ts`.
 */
import type { LogitRows, RowNeed } from "./sampling/logit-rows.ts";
import type { GrammarSpec } from "../grammar/grammar-spec.ts";
import type { AdapterRef, DeviceBytes, DraftBytes, SequenceSpec } from "./protocol.ts";
import type { SamplingState } from "./sampling/sampling-state.ts";

/** An adapter prepared for the rows of a batch; opaque to the loop. */
export interface ReadyAdapter {
  readonly generation: string;
}

/** An LRU cache of ready adapters, bounded by bytes. The store has their contents. */
export interface AdapterCache<A extends ReadyAdapter = ReadyAdapter> {
  /**
   * The adapter; null while it is being made ready. `onReady` reports when to ask again.
   * @throws {AppError} adapter_not_found, adapter_invalid, adapter_incompatible, not_live.
   */
  get(ref: AdapterRef): A | null;
  /** Begins to make an adapter ready for a later `get`. */
  prepare(ref: AdapterRef): void;
  /** Sets the one listener. It is called when an adapter has become ready or has failed. */
  onReady(listener: () => void): void;
  /** Forgets an adapter. @returns whether it was here */
  drop(generation: string): boolean;
  /** Hits and misses are counted since the last call. */
  takeStats(): { readonly bytes: number; readonly hits: number; readonly misses: number };
  /** Generations that became ready or were released since the last call. */
  takeChanges(): AdapterChanges;
}

/** Generations. A generation in both lists first became ready and was then released. */
export interface AdapterChanges {
  /** Generations that became ready. */
  readonly loaded: readonly string[];
  /** How long each of those took, in the same order. */
  readonly loadSeconds: readonly number[];
  /** Generations that are no longer here, or could not be made ready. */
  readonly released: readonly string[];
}

/** The ids that may come next in an answer. */
export interface TokenMask {
  /** A bit for each id. Valid until the next token is read. */
  readonly words: Int32Array;
  /** Whether the answer may end here. */
  readonly mayEnd: boolean;
}

/** The ids that may come at one place of an answer. */
export interface AnswerPlace extends TokenMask {
  /** Whether the answer is complete here. */
  readonly mustEnd: boolean;
}

/** The grammar of one sequence, on its way through the answer. */
export interface BoundGrammar {
  /** Reads a generated token. */
  read(tokenId: number): void;
  /** Whether the answer is complete. False if that is not known in time. */
  mustEnd(maxWaitMs: number): boolean;
  /** null if the mask is not known in time. @throws {AppError} where the grammar cannot be run any further */
  mask(maxWaitMs: number): TokenMask | null;
  /** Ids that probably come next and that the grammar allows; null where they are not known within the time. */
  draft(maxWaitMs: number): readonly number[] | null;
  /**
   * The ids that may come next, and after each of the first `numDrafted` drafted tokens; null if they are not known in
   * time.
   * @throws {AppError} where the grammar cannot be run any further
   */
  placesAfter(numDrafted: number, maxWaitMs: number): readonly AnswerPlace[] | null;
}

/** Binds sequences to grammars. */
export interface Grammars {
  /**
   * The grammar of a sequence; null while it is being compiled. `onReady` reports when it is worth asking again.
   * @param promptIds drafts may repeat them
   * @throws {AppError} invalid_request, checkpoint_unsupported, internal_error
   */
  bind(id: number, spec: GrammarSpec, promptIds: Int32Array): BoundGrammar | null;
  /** Forgets a sequence, bound or not. */
  release(id: number): void;
  /** Sets the one listener. It is called when a grammar is bound or has failed. */
  onReady(listener: () => void): void;
}

/**
 * The conditions under which a prefix is reused: equal ids, the same tenant and salt, and the same adapter generation.
 */
export type Prompt = Pick<
  SequenceSpec,
  "id" | "tenant" | "cacheSalt" | "adapter" | "promptIds" | "numPromptLogprobs" | "pooling"
>;

/**
 * Keys and values of prompt prefixes, kept for other prompts with the same prefix. Positions are multiples of 64.
 */
export interface PrefixReuse {
  /** Number of tokens that `restore` would find now. */
  numKnown(prompt: Prompt): number;
  /**
   * Fills the row of an admitted sequence, which already has `past` tokens, from the kept prefixes. @returns the number
   * of tokens in the row afterwards
   */
  restore(prompt: Prompt, past: number): Promise<number>;
  /** Keeps the 64 positions from `past` on, which prefill has just written. */
  keep(prompt: Prompt, past: number): Promise<void>;
  /** Forgets the prefixes of an adapter's generation. @returns whether there were any */
  drop(generation: string): boolean;
  /** Since the last call: the number of prompt tokens that were looked up, and the number that were found. */
  takeStats(): { readonly queries: number; readonly hits: number };
}

/** The text of a sequence, as far as it is chosen. */
export interface AnswerText {
  readonly spec: SequenceSpec;
  readonly sampling: SamplingState;
  /** Tokens of prompt and answer. */
  readonly numTokens: number;
  /** Token `index` of prompt and answer. */
  tokenAt(index: number): number;
  /** Ids that may not be chosen after this many tokens of the answer. */
  maskedIds(numOutputTokens: number): readonly number[];
}

/** Sizes of a draft model by which a sequence decides whether to use it. */
export interface DraftLimits {
  /**
   * Time of one guess, in steps of the model that answers. It follows from the two bases alone: a measured time would
   * make answers depend on the machine's load.
   */
  readonly guessCost: number;
  /** Greatest number of tokens that it reads. */
  readonly maxModelLen: number;
  readonly vocabSize: number;
}

/** A smaller model of the same tokens, which guesses how an answer continues. */
export interface DraftModel extends DraftLimits {
  /** Bytes of its weights and of its keys and values. */
  readonly bytes: DraftBytes;
  /**
   * Guesses the next tokens of a text, as the sequence's own sampling would choose them.
   * @returns at most `count` tokens; null: a long text is read in chunks, and one more chunk was read
   */
  guess(text: AnswerText, count: number): Promise<readonly number[] | null>;
  /** Forgets a sequence, known or not. */
  release(id: number): void;
  close(): Promise<void>;
}

/** Rows of the batch cache: decoding rows first (0…numDecoding-1), prefilling rows after them. */
export interface KvRows {
  canEverFit(numTokens: number): boolean;
  /** Whether a sequence would fit beside the admitted ones. */
  canAdmit(numTokens: number): boolean;
  /**
   * Reserves positions for prompt + maxTokens, as a prefilling row. @param numPrompt the number of positions for the
   * prompt, which are written soon
   */
  admit(id: number, numTokens: number, numPrompt?: number): void;
  /** Moves a row after the last of the decoding rows. */
  startDecoding(id: number): void;
  /** Frees a row, decoding or not. Another row may move into its place. */
  release(id: number): void;
  /** Sequence ids in row order. */
  decodingIds(): readonly number[];
  /** Share of --kv-cache-bytes in use, 0…1. */
  usage(): number;
}

/** One chunk of one prompt. */
export interface PrefillStep<A extends ReadyAdapter = ReadyAdapter> {
  readonly id: number;
  /** Tokens of this sequence already in the cache. */
  readonly past: number;
  readonly tokenIds: Int32Array;
  readonly adapter: A | null;
  /** Positions within the chunk, ascending, whose logits are needed; none for most chunks. */
  readonly logitPositions: readonly number[];
  /** The part of each of those rows that will be read; the whole row where it is absent. */
  readonly need?: RowNeed;
}

/** One chunk of one prompt, for the hidden states of some of its positions. */
export interface HiddenStep<A extends ReadyAdapter = ReadyAdapter> extends Omit<
  PrefillStep<A>,
  "logitPositions" | "need"
> {
  /** Within the chunk, ascending. */
  readonly hiddenPositions: readonly number[];
}

/** The next token of one decoding row. */
export interface DecodeRow<A extends ReadyAdapter = ReadyAdapter> {
  readonly id: number;
  readonly tokenId: number;
  readonly past: number;
  readonly adapter: A | null;
  /** The part of its logits that will be read; the whole row where it is absent. */
  readonly need?: RowNeed;
}

/**
 * Sequences → tensors → session → logits. @typeParam A the runner's own form of a ready adapter; it receives only
 * adapters from `adapters`
 */
export interface ModelRunner<A extends ReadyAdapter = ReadyAdapter> {
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly kv: KvRows;
  /** null: a merged engine, whose weights already contain its adapter. */
  readonly adapters: AdapterCache<A> | null;
  /** null: every prompt is prefilled from its first token on. */
  readonly prefixes: PrefixReuse | null;
  /** null or absent: no sequence can be bound to a grammar. */
  readonly grammars?: Grammars | null;
  /** null or absent: guesses come from text alone. */
  readonly draftModel?: DraftModel | null;
  /** @returns one row for each of `logitPositions`, valid until the next call. */
  prefill(step: PrefillStep<A>): Promise<LogitRows>;
  /** Prefills a chunk. @returns the hidden states of its positions after the final norm, float32 [positions, C]. */
  prefillHidden(step: HiddenStep<A>): Promise<Float32Array>;
  /** @param rows every decoding row, in row order. @returns their logits in this order, valid until the next call. */
  decode(rows: readonly DecodeRow<A>[]): Promise<LogitRows>;
  /** Memory in use on a device; null or absent where the device is the host. */
  deviceBytes?(): DeviceBytes | null;
  close(): Promise<void>;
}
