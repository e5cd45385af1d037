/**
 * The engine as the server sees it: submit a sequence, read its events, cancel it. This file holds types and the
 * defaults of a request. `engine-client.ts` speaks to one process. `supervisor.ts` keeps the live engine and the merged
 * ones, and restarts those that die.
 */
import type { MergeReport } from "../adapter/merge-report.ts";
import type {
  AdapterRef,
  EngineLimits,
  FinishReason,
  PromptLogprob,
  SequenceSpec,
  StepStats,
  TokenLogprob,
} from "./protocol.ts";

export type SequenceRequest = Omit<SequenceSpec, "id">;

/** Sampling that always chooses the likeliest token, with every processor off. */
export const GREEDY: SequenceRequest["sampling"] = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  allowedIds: null,
  badWords: [],
  seed: 0,
};

/** A greedy request that only computes its prompt: the defaults of requests that the program makes itself. */
export const PLAIN_REQUEST = {
  tenant: "default",
  adapter: null,
  sampling: GREEDY,
  maxTokens: 0,
  minTokens: 0,
  stopIds: [],
  numLogprobs: null,
  numPromptLogprobs: null,
  deadlineMs: null,
} satisfies Omit<SequenceRequest, "promptIds">;

/**
 * An event of a running sequence. Exactly one `finished` ends the sequence. The iterator throws a failure as an
 * AppError.
 */
export type SequenceEvent =
  | { readonly type: "prompt-scored"; readonly logprobs: readonly PromptLogprob[] }
  | { readonly type: "prompt-pooled"; readonly values: Float32Array }
  | { readonly type: "token"; readonly tokenId: number; readonly logprob: TokenLogprob | null }
  | {
      readonly type: "finished";
      readonly reason: FinishReason;
      readonly queueSeconds: number;
      /** The part of `queueSeconds` in which its adapter was read and laid out; 0: it was ready, or there is none. */
      readonly adapterSeconds: number;
      readonly prefillSeconds: number;
      readonly decodeSeconds: number;
    };

/** A sequence in flight. Leaving the iteration early, or `cancel()`, stops the work within one step. */
export interface SequenceStream extends AsyncIterable<SequenceEvent> {
  /**
   * Prompt tokens that came from the prefix cache. The number is known from the first token on; before that it is 0.
   */
  readonly numCached: number;
  cancel(): void;
}

/** The room that a request needs in the queue. */
export interface QueueDemand {
  readonly tenant: string;
  /** Prompt tokens of each of the request's sequences. */
  readonly promptTokens: readonly number[];
  /** Share of the queue that the tenant may take. undefined: all of it. */
  readonly queueShare?: number | undefined;
}

/** Generations that are ready at this moment. */
export interface LoadedAdapters {
  /** Laid out in the live engine, which may evict them for others. */
  readonly live: ReadonlySet<string>;
  /** Merged into the weights of an engine of their own, which is ready. */
  readonly merged: ReadonlySet<string>;
}

/** Ready, or why not. */
export type Readiness = { readonly isReady: true } | { readonly isReady: false; readonly reason: string };

export interface Engine {
  /**
   * Refuses a tenant's request before its body is read, if no engine has room for it.
   * @throws {AppError} overloaded, engine_unavailable.
   */
  assertAnyQueueHasRoom(tenant: string): void;
  /**
   * Refuses a request unless the queue has room for all of its sequences. The room is still there for sequences that
   * are submitted in the same turn of the event loop.
   * @param generation the adapter whose engine is asked; null: the base's engine
   * @throws {AppError} rate_limit_exceeded, overloaded, engine_unavailable.
   */
  assertQueueHasRoom(demand: QueueDemand, generation: string | null): void;
  /** Queues a sequence. @throws {AppError} overloaded, engine_unavailable, context_length_exceeded, not_live. */
  submit(request: SequenceRequest): SequenceStream;
  readiness(): Readiness;
  /** Limits of the live engine; null until that engine has been ready once. */
  limits(): EngineLimits | null;
  /** Generations that a merged engine serves, or that one is being started for. */
  mergedGenerations(): ReadonlySet<string>;
  /** Adapters that are ready. The list changes when engine processes start and end. */
  loadedAdapters(): LoadedAdapters;
  /**
   * Starts an engine whose weights contain the adapter. Resolves when that engine serves.
   * @throws {AppError} not_mergeable, insufficient_memory (beyond --max-merged).
   */
  merge(generation: string): Promise<MergeReport>;
  /**
   * Stops the merged engine of a generation after its sequences have ended. From now on the live engine serves the
   * generation.
   */
  unmerge(generation: string): Promise<void>;
  /** Announces a sequence with this adapter, so that the engine makes the adapter ready meanwhile. */
  prepareAdapter(ref: AdapterRef): void;
  /** Frees all memory that the engines use for a generation that nothing needs any more, and for blends with it. */
  dropAdapter(generation: string): void;
  /** Calls the listener for every step report, for the metrics. */
  onStats(listener: (stats: StepStats) => void): void;
  onRestart(listener: () => void): void;
  /** Accepts no new sequences, lets running ones end until the deadline, then ends the processes. */
  stop(timeoutMs: number): Promise<void>;
}
