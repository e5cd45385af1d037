/**
 * Runs the prompts of one request through the engine and collects their pooled vectors. A few prompts are in the engine
 * at a time, so a request with thousands does not take every row or fill the queue. Releases everything on every way
 * out.
 */
import type { SequenceRequest, SequenceStream } from "../../engine/engine.ts";
import { PLAIN_REQUEST } from "../../engine/engine.ts";
import { ClientGone, type GenerationRequest } from "../completion/generation.ts";
import { SequenceMeter } from "../completion/sequence-meter.ts";
import type { AppContext } from "../context.ts";

/**
 * Number of prompts of one request that are in the engine at a time. The engine computes one at a time. The others hide
 * the time for messages to and from it.
 */
const LANES = 4;

export type PoolRequest = Pick<
  GenerationRequest,
  "target" | "tenant" | "record" | "lease" | "prompts" | "deadlineMs" | "signal" | "arrivedAt"
> & {
  readonly pooling: NonNullable<SequenceRequest["pooling"]>;
  readonly cacheSalt: string | null;
};

export interface Pooled {
  /** One a prompt. */
  readonly vectors: readonly Float32Array[];
  /** Prompt tokens that came from the prefix cache. */
  readonly numCached: number;
}

/** @throws {AppError | ClientGone} */
export async function poolPrompts(context: AppContext, request: PoolRequest): Promise<Pooled> {
  const { prompts, tenant, target, signal } = request;
  if (signal.aborted) throw new ClientGone();
  const promptTokens = prompts.slice(0, LANES).map(({ length }) => length);
  const { queueShare } = request.lease;
  context.engine.assertQueueHasRoom({ tenant, promptTokens, queueShare }, target.adapter?.generation ?? null);
  const run = new PoolRun(context, request);
  signal.addEventListener("abort", run.cancel, { once: true });
  try {
    return await run.results();
  } finally {
    signal.removeEventListener("abort", run.cancel);
  }
}

class PoolRun {
  readonly #context: AppContext;
  readonly #request: PoolRequest;
  readonly #running = new Set<SequenceStream>();
  readonly #vectors: Float32Array[] = [];
  #next = 0;
  #numCached = 0;
  #isCancelled = false;

  constructor(context: AppContext, request: PoolRequest) {
    this.#context = context;
    this.#request = request;
  }

  readonly cancel = (): void => {
    this.#isCancelled = true;
    for (const stream of this.#running) stream.cancel();
  };

  async results(): Promise<Pooled> {
    const numLanes = Math.min(LANES, this.#request.prompts.length);
    const lanes = await Promise.allSettled(Array.from({ length: numLanes }, () => this.#runLane()));
    const failures = lanes.flatMap((lane) => (lane.status === "rejected" ? [lane.reason as unknown] : []));
    // The first cause is reported, not the cancellations that followed from it.
    const cause = failures.find((failure) => !(failure instanceof ClientGone)) ?? failures[0];
    if (cause !== undefined) throw cause;
    return { vectors: this.#vectors, numCached: this.#numCached };
  }

  async #runLane(): Promise<void> {
    try {
      while (this.#next < this.#request.prompts.length) {
        if (this.#isCancelled) throw new ClientGone();
        await this.#runPrompt(this.#next++);
      }
    } catch (error) {
      this.cancel(); // the other prompts of this request are no longer needed
      throw error;
    }
  }

  async #runPrompt(index: number): Promise<void> {
    const meter = new SequenceMeter(this.#context, { ...this.#request, n: 1 }, index);
    const stream = this.#context.engine.submit(this.#sequence(index));
    this.#running.add(stream);
    try {
      for await (const event of stream) {
        if (event.type === "prompt-pooled") this.#vectors[index] = event.values;
        if (event.type === "finished") meter.times = event;
      }
      if (this.#vectors[index] === undefined) throw new ClientGone(); // only a cancelled sequence ends without it
      this.#numCached += stream.numCached;
      meter.end("stop");
    } catch (error) {
      meter.end(error instanceof ClientGone ? "abort" : "error");
      throw error;
    } finally {
      stream.cancel();
      this.#running.delete(stream);
    }
  }

  #sequence(index: number): SequenceRequest {
    const { tenant, target, prompts, deadlineMs, pooling, cacheSalt, lease } = this.#request;
    return {
      ...PLAIN_REQUEST,
      tenant,
      priority: lease.priority,
      adapter: target.adapter,
      promptIds: prompts[index] ?? new Int32Array(0),
      pooling,
      cacheSalt,
      deadlineMs,
    };
  }
}
