/**
 * Every message between the server and an engine process: two unions of plain data. The engine knows only token ids, no
 * text, no HTTP and no adapter names. Messages travel over Node's IPC channel with `serialization: "advanced"`, so
 * typed arrays arrive as typed arrays.
 */
import type { BlendPart } from "../adapter/blend-recipe.ts";
import type { WireError } from "../errors.ts";
import type { GrammarSpec } from "../grammar/grammar-spec.ts";

/** Rules for choosing tokens from logits. Neutral values switch a processor off. */
export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number; // 1: off
  readonly topK: number; // 0: off
  readonly minP: number; // 0: off
  readonly repetitionPenalty: number; // 1: off; over prompt and output, as in vLLM
  readonly presencePenalty: number; // 0: off; over output
  readonly frequencyPenalty: number; // 0: off; over output
  /** Token id and the number added to its logit. */
  readonly logitBias: readonly (readonly [number, number])[];
  /** The ids that may be chosen; null: all. */
  readonly allowedIds: Int32Array | null;
  /** Sequences of ids that must not be generated: the last id is not chosen after the others. */
  readonly badWords: readonly (readonly number[])[];
  /** Unsigned 32-bit seed of the sequence's own random stream. */
  readonly seed: number;
}

/**
 * The adapter of a sequence. Its content is in the store under its generation, or in the message (inline), or is a sum
 * of stored adapters (a blend).
 */
export interface AdapterRef {
  /** SHA-256 of the file, or of the blend's recipe, hex. */
  readonly generation: string;
  readonly inlineBytes?: Uint8Array;
  /** The recipe of a blend, in its canonical form (`adapter/blend-recipe.ts`). */
  readonly blend?: readonly BlendPart[];
}

/** How the hidden states of a prompt become one vector: the mean of all, or the last token's. */
export type Pooling = "mean" | "last";

/** One sequence to generate: prompt in, ids out. */
export interface SequenceSpec {
  /** Unique among all sequences this engine ever received. */
  readonly id: number;
  readonly tenant: string;
  /** Weight in the order of tenants: twice the weight gets twice the tokens. undefined: 1. */
  readonly priority?: number | undefined;
  /** The lowest priority: it gets a row only while no row is in use and no other sequence waits. Absent: false. */
  readonly isBackground?: boolean;
  readonly promptIds: Int32Array;
  /**
   * A prompt shares its prefix only with prompts of the same salt. Prompts without a salt (absent or null) share with
   * each other.
   */
  readonly cacheSalt?: string | null;
  /** null: the base itself. */
  readonly adapter: AdapterRef | null;
  readonly sampling: SamplingParams;
  /** The grammar that the answer obeys. Absent or null: the answer is free. */
  readonly grammar?: GrammarSpec | null;
  /** Maximum number of tokens to generate; 0 only scores the prompt. */
  readonly maxTokens: number;
  /** End and stop token ids are not chosen before this many tokens. */
  readonly minTokens: number;
  /** Generating one of these ends the sequence (it is reported, as its last token). */
  readonly stopIds: readonly number[];
  /**
   * Number of alternatives to report for each generated token; 0: only the chosen token; null: no log-probabilities.
   */
  readonly numLogprobs: number | null;
  /** Number of alternatives to report for every prompt token but the first; null: the prompt is not scored. */
  readonly numPromptLogprobs: number | null;
  /**
   * Pooling of the prompt's hidden states, which are reported instead of an answer (`maxTokens` is 0). null or absent:
   * no pooling.
   */
  readonly pooling?: Pooling | null;
  /** Unix time in ms after which the sequence is dropped; null: it has no deadline. */
  readonly deadlineMs: number | null;
}

/** Log-probability of one token and of the likeliest alternatives, best first. */
export interface TokenLogprob {
  readonly logprob: number;
  readonly topIds: readonly number[];
  readonly topLogprobs: readonly number[];
}

/** Log-probability of a prompt token, with the token's rank among all tokens: rank 1 is the likeliest. */
export interface PromptLogprob extends TokenLogprob {
  readonly rank: number;
}

export interface TokenSampled {
  readonly id: number;
  readonly tokenId: number;
  readonly logprob: TokenLogprob | null;
}

export type FinishReason = "stop" | "length";

export interface SequenceFinished {
  readonly id: number;
  readonly reason: FinishReason;
  /** Times of this sequence in seconds, for metrics and traces. */
  readonly queueSeconds: number;
  /** The part of `queueSeconds` in which its adapter was read and laid out; 0: it was ready, or there is none. */
  readonly adapterSeconds: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

/** Log-probabilities of prompt tokens 1… of a scored prompt (token t given the tokens before it). */
export interface PromptScored {
  readonly id: number;
  readonly logprobs: readonly PromptLogprob[];
}

/** The pooled hidden states of a prompt, after the final norm. */
export interface PromptPooled {
  readonly id: number;
  readonly values: Float32Array;
}

/** Report that a prompt has been prefilled, and how much of it came from the cache. */
export interface PromptPrefilled {
  readonly id: number;
  /** Prompt tokens whose keys and values came from the prefix cache. */
  readonly numCached: number;
}

/** One step's work, and the engine's state after it. Counters are increments since the last report. */
export interface StepStats {
  readonly phase: "prefill" | "decode" | "speculate" | "idle";
  readonly seconds: number;
  readonly rows: number;
  readonly distinctAdapters: number;
  readonly promptTokens: number;
  /** Tokens that a speculation drafted, and those of them that were chosen. */
  readonly numDrafted: number;
  readonly numAccepted: number;
  /** The source of those tokens: text, or the draft model. */
  readonly draftSource: "text" | "model";
  /** Time of the step that the draft model took, in seconds. */
  readonly draftSeconds: number;
  readonly numRunning: number;
  readonly numWaiting: number;
  /** Generations of running and of waiting sequences, without the base. */
  readonly runningAdapters: readonly string[];
  readonly waitingAdapters: readonly string[];
  /** Share of --kv-cache-bytes in use, 0…1. */
  readonly kvUsage: number;
  readonly adapterCacheBytes: number;
  readonly adapterCacheHits: number;
  readonly adapterCacheMisses: number;
  /** For each adapter that was read and laid out since the last report: how long this took. */
  readonly adapterLoadSeconds: readonly number[];
  readonly prefixQueries: number;
  readonly prefixHits: number;
  /** Memory in use on a device other than the host; null on cpu. */
  readonly deviceBytes: DeviceBytes | null;
}

/** The uses of a draft model's memory. */
export const DRAFT_BYTE_KINDS = ["weights", "kv"] as const;

/** Bytes of a draft model: its weights as they are stored, and the allowed bytes of its keys and values. */
export type DraftBytes = Readonly<Record<(typeof DRAFT_BYTE_KINDS)[number], number>>;

/** The device an engine runs on, and how the engine computes there. */
export interface DeviceFacts {
  readonly name: "cpu" | "webgpu" | "cuda";
  /**
   * The attention kernel: the first of these three that gives correct results on this device
   * (`device-graph/device-form.ts`).
   */
  readonly attention: "fused" | "stepwise" | "plain";
  /** Precision of attention, its cache and products of weights that are not quantised. */
  readonly precision: "float32" | "float16";
  /** false: keys and values are copied to and from the device in every step. */
  readonly isCacheResident: boolean;
}

/** The uses of a device's memory. */
export const DEVICE_BYTE_KINDS = ["weights", "bases", "kv", "adapters"] as const;

/** Bytes of a device's memory, by use. */
export type DeviceBytes = Readonly<Record<(typeof DEVICE_BYTE_KINDS)[number], number>>;

/** Settings of an engine process, sent as its first message. */
export interface EngineOptions {
  readonly baseDir: string;
  /** Directory of the tokenizer, which grammars need; absent: `baseDir`. A merged base has none of its own. */
  readonly tokenizerDir?: string;
  /** LMDB directory with adapter contents, opened read-only. */
  readonly storeDir: string;
  readonly device: "cpu" | "webgpu" | "cuda";
  readonly numThreads: number;
  readonly maxNumSeqs: number;
  readonly maxModelLen: number | null;
  readonly kvCacheBytes: number;
  /** Type of keys and values in the cache. auto, or absent: the precision of attention. */
  readonly kvCacheDtype?: "auto" | "int8";
  readonly adapterCacheBytes: number;
  /** Highest rank of SARA and LoRA targets that is served live. */
  readonly maxLiveRank: number;
  readonly maxQueue: number;
  readonly maxQueueTokens: number;
  readonly usesPrefixCache: boolean;
  /** Greatest number of guessed tokens that one run computes for an answer; 0: each token has a step of its own. */
  readonly maxDraft: number;
  /** Base directory of a model that guesses tokens; null or absent: guesses come from text alone. */
  readonly draftDir?: string | null;
  readonly requiresBatchInvariance: boolean;
  /** false for a merged engine, whose graph has no adapter inputs. */
  readonly takesAdapters: boolean;
  /**
   * Where passed self-tests are noted, so that a later start need not run them again. `environment` names the program
   * and the machine. null or absent: every start runs its test.
   */
  readonly selfTests?: { readonly dir: string; readonly environment: string } | null;
}

/** The capacity of an engine. */
export interface EngineCapacity {
  /** Tokens in one block. A block is cached and reused as a whole. */
  readonly kvBlockTokens: number;
  /** Blocks that --kv-cache-bytes holds. */
  readonly numKvBlocks: number;
  /** Type of the keys and values in them. */
  readonly kvCacheType: "float32" | "float16" | "int8";
  /** Adapters that --adapter-cache-bytes keeps ready. Running sequences hold their adapters in any case. */
  readonly maxReadyAdapters: number;
}

/** Abilities and limits of an engine that is ready. */
export interface EngineLimits {
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly maxNumSeqs: number;
  /** Result of the self-test on the real graph. */
  readonly isBatchInvariant: boolean;
  readonly device: DeviceFacts;
  readonly capacity: EngineCapacity;
  /** null: there is no draft model. */
  readonly draft: { readonly guessCost: number; readonly bytes: DraftBytes } | null;
}

/**
 * File descriptor of a pipe beside the IPC channel. It carries the adapters that announced sequences will need
 * (`wanted-line.ts`). The engine reads it during a step as well.
 */
export const WANTED_FD = 4;

/** Server → engine. */
export type EngineCommand =
  | { readonly type: "engine-started"; readonly options: EngineOptions }
  | { readonly type: "sequence-added"; readonly sequence: SequenceSpec }
  | { readonly type: "sequence-cancelled"; readonly id: number }
  | { readonly type: "adapter-dropped"; readonly generation: string }
  | { readonly type: "turn-granted" }
  | { readonly type: "turns-changed"; readonly areTurnsNeeded: boolean }
  | { readonly type: "engine-stopped" };

/** Engine → server. */
export type EngineEvent =
  | { readonly type: "engine-ready"; readonly limits: EngineLimits }
  | {
      readonly type: "step-finished";
      /** Ids of sequences that were queued, and ids of sequences that got a row, since the last report. */
      readonly added: readonly number[];
      readonly admitted: readonly number[];
      readonly sampled: readonly TokenSampled[];
      readonly prefilled: readonly PromptPrefilled[];
      readonly scored: readonly PromptScored[];
      readonly pooled: readonly PromptPooled[];
      readonly finished: readonly SequenceFinished[];
      readonly failed: readonly { readonly id: number; readonly error: WireError }[];
      /**
       * Generations that became ready, and generations that were released or failed to load, since the last report. A
       * generation in both lists first became ready and was then released.
       */
      readonly loadedAdapters: readonly string[];
      readonly releasedAdapters: readonly string[];
      readonly stats: StepStats;
    }
  | { readonly type: "engine-failed"; readonly error: WireError }
  | { readonly type: "turn-requested" }
  | { readonly type: "turn-ended" };
