/**
 * The engine as the server sees it: submit a sequence, read its events, cancel it. Types and one constant; `engine-client.ts` speaks to
 * one process, `supervisor.ts` keeps the live engine and the merged ones and restarts what dies.
 */
import type { MergeReport } from "../adapter/merge-report.ts";
import type { EngineLimits, FinishReason, PromptLogprob, SequenceSpec, StepStats, TokenLogprob } from "./protocol.ts";

export type SequenceRequest = Omit<SequenceSpec, "id">;

/** The likeliest token at every step, every processor off. */
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

/** What a running sequence yields. Exactly one `finished` ends it; a failure is thrown by the iterator as an AppError. */
export type SequenceEvent =
  | { readonly type: "prompt-scored"; readonly logprobs: readonly PromptLogprob[] }
  | { readonly type: "token"; readonly tokenId: number; readonly logprob: TokenLogprob | null }
  | {
      readonly type: "finished";
      readonly reason: FinishReason;
      readonly queueSeconds: number;
      readonly prefillSeconds: number;
      readonly decodeSeconds: number;
    };

/** A sequence in flight. Leaving the iteration early, or `cancel()`, stops the work within one step. */
export interface SequenceStream extends AsyncIterable<SequenceEvent> {
  /** Prompt tokens that were taken from the prefix cache; known from the first token on, 0 before. */
  readonly numCached: number;
  cancel(): void;
}

/** What a request wants of the queue. */
export interface QueueDemand {
  readonly tenant: string;
  /** Of each of its sequences. */
  readonly promptTokens: readonly number[];
}

/** Ready, or why not. */
export type Readiness = { readonly isReady: true } | { readonly isReady: false; readonly reason: string };

export interface Engine {
  /**
   * Refuses a tenant's request that no engine has a place for, before its body is read.
   * @throws {AppError} overloaded, engine_unavailable.
   */
  assertAnyQueueHasRoom(tenant: string): void;
  /**
   * Refuses a request whose sequences do not all have a place in the queue. Those that are submitted in the same turn find it.
   * @param generation whose engine; null: the base's
   * @throws {AppError} overloaded, engine_unavailable.
   */
  assertQueueHasRoom(demand: QueueDemand, generation: string | null): void;
  /** Queues a sequence. @throws {AppError} overloaded, engine_unavailable, context_length_exceeded, not_live. */
  submit(request: SequenceRequest): SequenceStream;
  readiness(): Readiness;
  /** Of the live engine; null until it was ready once. */
  limits(): EngineLimits | null;
  /** Generations that a merged engine serves or is being started for. */
  mergedGenerations(): ReadonlySet<string>;
  /**
   * Starts an engine whose weights contain the adapter, and resolves when it serves.
   * @throws {AppError} not_mergeable, insufficient_memory (beyond --max-merged).
   */
  merge(generation: string): Promise<MergeReport>;
  /** Stops the merged engine of a generation after its sequences have ended; live serves it from now on. */
  unmerge(generation: string): Promise<void>;
  /** Says that a sequence with this adapter is on its way, so that it is made ready meanwhile. */
  prepareAdapter(generation: string): void;
  /** Frees what the engines hold of a generation that nothing uses any more. */
  dropAdapter(generation: string): void;
  /** Called for every step report and restart, for the metrics. */
  onStats(listener: (stats: StepStats) => void): void;
  onRestart(listener: () => void): void;
  /** Takes no new sequences, lets running ones end until the deadline, then ends the processes. */
  stop(timeoutMs: number): Promise<void>;
}
