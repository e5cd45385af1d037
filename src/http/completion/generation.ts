/**
 * Runs one request's sequences together: submits them, converts their events to text deltas, cuts at stop strings and
 * records the metrics. Releases everything on every way out. Knows no JSON shapes.
 */
import { AppError } from "../../errors.ts";
import type { SequenceEvent, SequenceRequest, SequenceStream } from "../../engine/engine.ts";
import type { AppContext, TextDelta, TextStream, TextStreamOptions } from "../context.ts";
import type { Lease } from "../../limits/lease.ts";
import type { RequestRecord } from "../request/request-record.ts";
import type { Target } from "./model/resolve-model.ts";
import { type SequenceOptions, seedOf } from "./sampling.ts";
import { SequenceMeter } from "./sequence-meter.ts";

/** Log-probability of one token and of the likeliest alternatives. */
export type TokenLogprob = NonNullable<Extract<SequenceEvent, { type: "token" }>["logprob"]>;

/** Log-probability of a prompt token, with its rank. */
export type PromptLogprob = Extract<SequenceEvent, { type: "prompt-scored" }>["logprobs"][number];

const NO_TEXT: TextDelta = { text: "", isStopped: false };

/** A generated token, and the text that is known after it. */
export interface TokenOut {
  readonly id: number;
  readonly logprob: TokenLogprob | null;
  /** Text that becomes final with this token. It is shorter than the token's own text if a part is held back. */
  readonly text: string;
}

/** Events of a sequence, in order: scores (if requested), tokens, then the end, with the text that was held back. */
export type ChoiceEvent =
  | { readonly type: "scored"; readonly logprobs: readonly PromptLogprob[] }
  | { readonly type: "token"; readonly token: TokenOut }
  | {
      readonly type: "finished";
      readonly reason: "stop" | "length";
      readonly text: string;
      /** The stop string that ended the answer; null: the answer ended otherwise. */
      readonly stop: string | null;
    };

export interface GenerationRequest {
  readonly target: Target;
  readonly tenant: string;
  /** Receives the end of every sequence. */
  readonly record: RequestRecord;
  /** Settled when the generation ends. */
  readonly lease: Lease;
  /** One prompt is a list of ids. Each prompt gets `n` sequences. */
  readonly prompts: readonly Int32Array[];
  readonly n: number;
  readonly options: SequenceOptions;
  /** Rules for cutting the text. */
  readonly text: TextStreamOptions;
  readonly deadlineMs: number | null;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  /** `performance.now()` of the request's arrival. */
  readonly arrivedAt: number;
}

/**
 * Called for every event of every sequence, which waits for the call. `index` is prompt · n + number of the sequence.
 */
export type Listener = (index: number, event: ChoiceEvent) => void | Promise<void>;

/** The client has left, so no answer is sent. */
export class ClientGone extends Error {
  constructor() {
    super("the client has gone");
    this.name = "ClientGone";
  }
}

export interface Generation {
  /**
   * Runs to the end. However it ends, it releases the target and cancels running sequences. @throws {AppError
   * ClientGone}
   */
  run(listener: Listener): Promise<void>;
  cancel(): void;
  /**
   * Prompt tokens that came from the prefix cache, counted once for each prompt. Only tokens that every sequence of the
   * prompt got from the cache count, because tokens reused between them were computed for this request. Known once
   * every sequence has a token.
   */
  numCached(): number;
}

/**
 * Submits the sequences. On failure no sequence is left running, and the caller still has to release the target.
 * @throws {AppError ClientGone}
 */
export function startGeneration(context: AppContext, request: GenerationRequest): Generation {
  if (request.signal.aborted) throw new ClientGone();
  if (request.deadlineMs !== null && Date.now() >= request.deadlineMs)
    throw new AppError(
      "deadline_exceeded",
      "The deadline in x-request-timeout-ms passed before the request could start.",
    );
  const { prompts, n, tenant, target } = request;
  const promptTokens = prompts.flatMap(({ length }) => Array.from({ length: n }, () => length));
  const { queueShare } = request.lease;
  context.engine.assertQueueHasRoom({ tenant, promptTokens, queueShare }, target.adapter?.generation ?? null);
  const streams: SequenceStream[] = [];
  try {
    for (const promptIds of prompts)
      for (let i = 0; i < n; i++) streams.push(context.engine.submit(sequenceRequest(request, promptIds, i)));
  } catch (error) {
    for (const stream of streams) stream.cancel();
    throw error;
  }
  return new RunningGeneration(context, request, streams);
}

class RunningGeneration implements Generation {
  readonly #context: AppContext;
  readonly #request: GenerationRequest;
  readonly #streams: readonly SequenceStream[];
  /** Released when the generation has ended, for any reason. */
  readonly #leave: () => void;
  readonly #forgetName: () => void;

  constructor(context: AppContext, request: GenerationRequest, streams: readonly SequenceStream[]) {
    this.#context = context;
    this.#request = request;
    this.#streams = streams;
    this.#leave = context.inFlight.enter();
    const { adapter, adapterName } = request.target;
    this.#forgetName = adapter && adapterName !== null ? context.names.hold(adapter.generation, adapterName) : () => {};
    request.signal.addEventListener("abort", this.cancel, { once: true });
  }

  readonly cancel = (): void => {
    for (const stream of this.#streams) stream.cancel();
  };

  async run(listener: Listener): Promise<void> {
    const runs = this.#streams.map(async (stream, index) => {
      try {
        await runSequence(this.#context, this.#request, stream, index, listener);
      } catch (error) {
        this.cancel(); // the other sequences of this request are no longer needed
        throw error;
      }
    });
    try {
      const results = await Promise.allSettled(runs);
      const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
      // The first cause is reported, not the cancellations that followed from it.
      const cause = failures.find((failure) => !(failure instanceof ClientGone)) ?? failures[0];
      if (cause !== undefined) throw cause;
    } finally {
      this.#request.signal.removeEventListener("abort", this.cancel);
      this.#request.target.release();
      this.#forgetName();
      this.#request.record.cachedTokens = this.numCached();
      this.#request.lease.end(this.#request.record.numTokens());
      this.#leave();
    }
  }

  numCached(): number {
    const { prompts, n } = this.#request;
    return prompts.reduce((sum, _, prompt) => {
      const own = this.#streams.slice(prompt * n, (prompt + 1) * n);
      return sum + Math.min(...own.map((stream) => stream.numCached));
    }, 0);
  }
}

function sequenceRequest(request: GenerationRequest, promptIds: Int32Array, i: number): SequenceRequest {
  const { sampling, ...options } = request.options;
  const { tenant, target, deadlineMs } = request;
  return {
    ...options,
    tenant,
    priority: request.lease.priority,
    promptIds,
    adapter: target.adapter,
    deadlineMs,
    sampling: { ...sampling, seed: seedOf(sampling.seed, i) },
  };
}

/** Runs one sequence from its first event to its end. The metrics count every kind of end. */
async function runSequence(
  context: AppContext,
  request: GenerationRequest,
  stream: SequenceStream,
  index: number,
  listener: Listener,
): Promise<void> {
  const meter = new SequenceMeter(context, request, index);
  try {
    const reason = await forward(context, request, stream, meter, (event) => listener(index, event));
    meter.end(reason);
  } catch (error) {
    meter.end(error instanceof ClientGone ? "abort" : "error");
    throw error;
  } finally {
    stream.cancel();
  }
}

async function forward(
  context: AppContext,
  request: GenerationRequest,
  stream: SequenceStream,
  meter: SequenceMeter,
  emit: (event: ChoiceEvent) => void | Promise<void>,
): Promise<"stop" | "length"> {
  const { options } = request;
  const text = context.text.stream(request.text);
  let numTokens = 0;
  for await (const event of stream) {
    if (event.type === "prompt-scored") {
      await emit({ type: "scored", logprobs: event.logprobs });
      continue;
    }
    if (event.type === "finished") {
      meter.times = event;
      return await finish(event.reason, text, numTokens > options.minTokens, emit);
    }
    if (event.type === "prompt-pooled") throw new Error("internal: a completion's prompt was pooled");
    numTokens += 1;
    meter.token();
    // The token that ends the answer is counted and reported. Its text is left out unless the request asks for it.
    const isEnd = numTokens >= options.minTokens && options.stopIds.includes(event.tokenId);
    const isLeftOut = isEnd && !request.text.includesStop;
    const delta = isLeftOut ? NO_TEXT : text.push(event.tokenId, numTokens > options.minTokens);
    const token: TokenOut = { id: event.tokenId, logprob: event.logprob, text: delta.text };
    await emit({ type: "token", token });
    if (!delta.isStopped) continue;
    await emit({ type: "finished", reason: "stop", text: "", stop: delta.stop ?? null });
    return "stop"; // leaving the loop cancels the sequence
  }
  throw new ClientGone(); // only a cancelled sequence ends without a final event
}

async function finish(
  reason: "stop" | "length",
  text: TextStream,
  mayStop: boolean,
  emit: (event: ChoiceEvent) => void | Promise<void>,
): Promise<"stop" | "length"> {
  const rest = text.flush(mayStop);
  const ended = rest.isStopped ? "stop" : reason;
  await emit({ type: "finished", reason: ended, text: rest.text, stop: rest.stop ?? null });
  return ended;
}
