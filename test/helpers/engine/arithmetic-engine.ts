/**
 * A small real engine in this process: bytes are tokens, and the next one follows from the last, the adapter and the
 * seed by arithmetic. It keeps the whole contract of `Engine`: limits, deadlines, cancellation, log-probabilities,
 * statistics.
 */
import { createHash } from "node:crypto";
import { AppError } from "../../../src/errors.ts";
import type { Engine, Readiness, SequenceEvent, SequenceRequest, SequenceStream } from "../../../src/engine/engine.ts";
import { BufferedSequenceStream } from "../../../src/engine/server/sequence-stream.ts";
import { NO_STATS } from "../../../src/engine/server/combined-stats.ts";
import type { EngineLimits, StepStats, TokenLogprob } from "../../../src/engine/protocol.ts";

/** Bytes, and the end token. */
export const VOCAB_SIZE = 257;
export const END_ID = 256;
/** Numbers in a pooled vector. */
export const HIDDEN_SIZE = 6;
const LETTERS = "etaoin shrdlu";

export interface ArithmeticEngineOptions {
  readonly maxModelLen?: number;
  /** Larger than the bytes where a test has a tokenizer of its own. */
  readonly vocabSize?: number;
  /** Pause before every token. */
  readonly stepMs?: number;
  readonly maxWaiting?: number;
}

/** The engine, and what tests look at. */
export interface ArithmeticEngine extends Engine {
  readonly requests: SequenceRequest[];
  readonly dropped: string[];
  numRunning(): number;
  /** Every sequence that runs fails with this, and it is not ready until `revive`. */
  kill(): void;
  revive(): void;
  /** The next sequences fail in their `at`-th step with this error. */
  failAt(at: number, error: AppError): void;
}

/** What the engine answers: ids for a prompt, at most `maxTokens`, ending after the end token. */
export function expectedIds(
  request: Pick<SequenceRequest, "promptIds" | "adapter" | "maxTokens" | "stopIds"> & {
    sampling: { temperature: number; seed: number };
  },
): number[] {
  const ids: number[] = [];
  while (ids.length < request.maxTokens) {
    const id = nextId(request, ids);
    ids.push(id);
    if (request.stopIds.includes(id)) break;
  }
  return ids;
}

function nextId(
  request: Pick<SequenceRequest, "promptIds" | "adapter"> & { sampling: { temperature: number; seed: number } },
  ids: readonly number[],
): number {
  const shift =
    request.adapter === null ? 0 : createHash("sha256").update(request.adapter.generation).digest().readUInt16LE(0);
  const seed = request.sampling.temperature === 0 ? 0 : request.sampling.seed;
  const last = ids.at(-1) ?? request.promptIds.at(-1) ?? 0;
  if (ids.length > 0 && ids.length % 40 === 0) return END_ID;
  return LETTERS.charCodeAt((last * 7 + ids.length * 3 + shift + seed) % LETTERS.length);
}

function logprobOf(id: number, numTop: number): TokenLogprob {
  const topIds = Array.from({ length: numTop }, (_, i) => (id + i) % VOCAB_SIZE);
  return { logprob: -0.5, topIds, topLogprobs: topIds.map((_, i) => -0.5 - i) };
}

/** What the engine answers for a prompt that is pooled: it depends on the ids, the pooling and the adapter. */
export function pooledVector({
  promptIds,
  pooling,
  adapter,
}: Pick<SequenceRequest, "promptIds" | "pooling" | "adapter">): Float32Array {
  const ids = pooling === "last" ? promptIds.slice(-1) : promptIds;
  const shift = adapter === null ? 0 : createHash("sha256").update(adapter.generation).digest().readUInt16LE(0);
  return Float32Array.from({ length: HIDDEN_SIZE }, (_, i) =>
    ids.reduce((sum, id) => sum + Math.sin(id * (i + 1) + shift) / ids.length, 0),
  );
}

export function createArithmeticEngine(options: ArithmeticEngineOptions = {}): ArithmeticEngine {
  const { maxModelLen = 512, vocabSize = VOCAB_SIZE, stepMs = 0, maxWaiting = Infinity } = options;
  const limits: EngineLimits = {
    maxModelLen,
    vocabSize,
    maxNumSeqs: 16,
    isBatchInvariant: true,
    capacity: { kvBlockTokens: 64, numKvBlocks: 128, kvCacheType: "float32", maxReadyAdapters: 1000 },
    device: { name: "cpu", attention: "fused", precision: "float32", isCacheResident: true },
    draft: null,
  };
  const running = new Set<BufferedSequenceStream>();
  const merged = new Set<string>();
  const loaded = new Set<string>();
  const requests: SequenceRequest[] = [];
  const dropped: string[] = [];
  const onStats: ((stats: StepStats) => void)[] = [];
  const onRestart: (() => void)[] = [];
  let isDead = false;
  let failure: { at: number; error: AppError } | null = null;

  const pause = () =>
    new Promise<void>((resolve) => (stepMs === 0 ? setImmediate(resolve) : setTimeout(resolve, stepMs)));
  const report = (phase: StepStats["phase"]) => {
    for (const listener of onStats)
      listener({
        ...NO_STATS,
        phase,
        rows: running.size,
        seconds: 0.001,
        numRunning: running.size,
        runningAdapters: requests
          .slice(-running.size || requests.length)
          .flatMap(({ adapter }) => adapter?.generation ?? []),
      });
  };

  const run = async (request: SequenceRequest, stream: BufferedSequenceStream) => {
    if (request.numPromptLogprobs !== null) {
      const ids = [...request.promptIds].slice(1);
      stream.push({
        type: "prompt-scored",
        logprobs: ids.map((id) => ({ ...logprobOf(id, request.numPromptLogprobs ?? 0), rank: 1 })),
      });
    }
    const ids: number[] = [];
    let reason: "stop" | "length" = "length";
    if (request.pooling) {
      await pause();
      if (!running.has(stream)) return;
      if (failure) return end(stream, failure.error);
      stream.push({ type: "prompt-pooled", values: pooledVector(request) });
      reason = "stop";
    }
    while (ids.length < request.maxTokens) {
      await pause();
      if (!running.has(stream)) return;
      if (failure && ids.length >= failure.at) return end(stream, failure.error);
      if (request.deadlineMs !== null && Date.now() >= request.deadlineMs)
        return end(stream, new AppError("deadline_exceeded", "The deadline passed."));
      const id = nextId(request, ids);
      ids.push(id);
      report(ids.length === 1 ? "prefill" : "decode");
      const event: SequenceEvent = {
        type: "token",
        tokenId: id,
        logprob: request.numLogprobs === null ? null : logprobOf(id, request.numLogprobs),
      };
      stream.push(event);
      if (!request.stopIds.includes(id)) continue;
      reason = "stop";
      break;
    }
    running.delete(stream);
    report("idle");
    stream.push({
      type: "finished",
      reason,
      queueSeconds: 0,
      adapterSeconds: 0,
      prefillSeconds: 0.001,
      decodeSeconds: 0.002,
    });
  };
  const end = (stream: BufferedSequenceStream, error: AppError) => {
    running.delete(stream);
    stream.fail(error);
  };

  const assertRoom = () => {
    if (running.size >= maxWaiting) throw new AppError("overloaded", "The queue is full.", { retryAfterSeconds: 3 });
  };

  return {
    requests,
    dropped,
    numRunning: () => running.size,
    assertAnyQueueHasRoom: assertRoom,
    assertQueueHasRoom: assertRoom,
    submit(request): SequenceStream {
      if (isDead) throw new AppError("engine_unavailable", "The engine is being restarted.", { retryAfterSeconds: 2 });
      if (running.size >= maxWaiting) throw new AppError("overloaded", "The queue is full.", { retryAfterSeconds: 3 });
      requests.push(request);
      if (request.adapter !== null && !merged.has(request.adapter.generation)) loaded.add(request.adapter.generation);
      const stream = new BufferedSequenceStream(() => running.delete(stream));
      running.add(stream);
      void run(request, stream);
      return stream;
    },
    readiness: (): Readiness =>
      isDead ? { isReady: false, reason: "the engine is being restarted" } : { isReady: true },
    limits: () => limits,
    mergedGenerations: () => merged,
    merge: async (generation) => {
      if (merged.size >= 1 && !merged.has(generation))
        throw new AppError("insufficient_memory", "There is one merged engine already.");
      merged.add(generation); // from its start on
      await pause();
      return { maxAbsLogitDifference: 0, kl: 0, seconds: 0.1 };
    },
    unmerge: async (generation) => void merged.delete(generation),
    prepareAdapter: () => {},
    loadedAdapters: () => ({ live: loaded, merged }),
    dropAdapter: (generation) => {
      dropped.push(generation);
      loaded.delete(generation);
    },
    onStats: (listener) => onStats.push(listener),
    onRestart: (listener) => onRestart.push(listener),
    stop: async () => {},
    kill: () => {
      isDead = true;
      loaded.clear();
      for (const stream of running) end(stream, new AppError("engine_unavailable", "The engine died."));
    },
    revive: () => {
      isDead = false;
      for (const listener of onRestart) listener();
    },
    failAt: (at, error) => {
      failure = { at, error };
    },
  };
}
