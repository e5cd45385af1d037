/**
 * What the engine loop needs of a model: prefill one chunk, decode one step, rows of a bounded KV cache, adapters made ready.
 * Types only, so that the loop knows no tensors, sessions or files; `model-runner.ts`, `batch-rows.ts` and `ready-adapters.ts` implement them.
 */
import type { LogitRows, RowNeed } from "./sampling/logit-rows.ts";
import type { AdapterRef, DeviceBytes, SequenceSpec } from "./protocol.ts";

/** An adapter prepared for the rows of a batch; opaque to the loop. */
export interface ReadyAdapter {
  readonly generation: string;
}

/** A byte-bounded LRU of ready adapters over the store's contents. */
export interface AdapterCache<A extends ReadyAdapter = ReadyAdapter> {
  /**
   * The adapter; null while it is being made ready: `onReady` tells when it is worth asking again.
   * @throws {AppError} adapter_not_found, adapter_invalid, adapter_incompatible, not_live.
   */
  get(ref: AdapterRef): A | null;
  /** Begins to make an adapter ready that will be asked for. */
  prepare(ref: AdapterRef): void;
  /** For one listener. */
  onReady(listener: () => void): void;
  /** Whether it was there. */
  drop(generation: string): boolean;
  /** Hits and misses are counted since the last call. */
  takeStats(): { readonly bytes: number; readonly hits: number; readonly misses: number };
  /** Which generations came and went since the last call. */
  takeChanges(): AdapterChanges;
}

/** Generations, in order. */
export interface AdapterChanges {
  /** They have been made ready. */
  readonly loaded: readonly string[];
  /** They are not here any more, or could not be made ready. */
  readonly released: readonly string[];
}

/** What prefixes are reused by: equal ids, of one tenant and salt, with one adapter generation. */
export type Prompt = Pick<SequenceSpec, "id" | "tenant" | "cacheSalt" | "adapter" | "promptIds" | "numPromptLogprobs">;

/** Keys and values of prompts' beginnings, kept for other prompts that begin alike. Positions are multiples of a chunk. */
export interface PrefixReuse {
  /** How many tokens `restore` would find now. */
  numKnown(prompt: Prompt): number;
  /** Fills the row of an admitted sequence, which holds `past` tokens, with what is known of its prompt. @returns how many it holds then */
  restore(prompt: Prompt, past: number): Promise<number>;
  /** Keeps the whole chunk that prefill has just written from `past` on. */
  keep(prompt: Prompt, past: number): Promise<void>;
  /** Forgets what belongs to an adapter's generation. @returns whether there was anything */
  drop(generation: string): boolean;
  /** Tokens since the last call: of prompts that were looked up, and of those the ones found. */
  takeStats(): { readonly queries: number; readonly hits: number };
}

/** Rows of the batch cache: decoding rows first (0…numDecoding-1), prefilling rows behind them. */
export interface KvRows {
  canEverFit(numTokens: number): boolean;
  /** Would fit beside what is admitted now. */
  canAdmit(numTokens: number): boolean;
  /** Reserves for prompt + maxTokens, as a prefilling row. @param numPrompt of those the prompt's, which is written soon */
  admit(id: number, numTokens: number, numPrompt?: number): void;
  /** Moves a row among the decoding ones, behind the last of them. */
  startDecoding(id: number): void;
  /** Frees a row, decoding or not; another row may move into the hole. */
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
  /** Positions within the chunk, ascending, whose logits are wanted; none for most chunks. */
  readonly logitPositions: readonly number[];
  /** What will be read of each of those rows; the whole row where it is not said. */
  readonly need?: RowNeed;
}

/** The next token of one decoding row. */
export interface DecodeRow<A extends ReadyAdapter = ReadyAdapter> {
  readonly id: number;
  readonly tokenId: number;
  readonly past: number;
  readonly adapter: A | null;
  /** What will be read of its logits; the whole row where it is not said. */
  readonly need?: RowNeed;
}

/** Sequences → tensors → session → logits. @typeParam A its own form of a ready adapter; it is given none but those of `adapters` */
export interface ModelRunner<A extends ReadyAdapter = ReadyAdapter> {
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly kv: KvRows;
  /** null: a merged engine, whose weights already contain its adapter. */
  readonly adapters: AdapterCache<A> | null;
  /** null: every prompt is prefilled from its first token on. */
  readonly prefixes: PrefixReuse | null;
  /** @returns a row a position of `logitPositions`, valid until the next call. */
  prefill(step: PrefillStep<A>): Promise<LogitRows>;
  /** @param rows every decoding row, in row order. @returns their logits in this order, valid until the next call. */
  decode(rows: readonly DecodeRow<A>[]): Promise<LogitRows>;
  /** What is taken of a device's memory; null, or not said, where that is the host's. */
  deviceBytes?(): DeviceBytes | null;
  close(): Promise<void>;
}
