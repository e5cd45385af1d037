/**
 * The parent's side of one engine process. It sends commands, and distributes the reports to the streams. When the
 * process ends, for any reason, every open stream fails with engine_unavailable. `engine-unit.ts` restarts the process.
 */
import type { ChildProcess } from "node:child_process";
import type { Writable } from "node:stream";
import { AppError, fromWire } from "../../errors.ts";
import type { QueueDemand, SequenceRequest, SequenceStream } from "../engine.ts";
import {
  type AdapterRef,
  type EngineCommand,
  type EngineEvent,
  type EngineLimits,
  type EngineOptions,
  type StepStats,
  WANTED_FD,
} from "../protocol.ts";
import { HANG_LIMITS, type HangLimits, HangWatch } from "./hang-watch.ts";
import { QueueMirror } from "./queue-mirror.ts";
import { BufferedSequenceStream } from "./sequence-stream.ts";
import { wantedLine } from "../wanted-line.ts";

/** Events of an engine process. `exited` comes once, and no event follows it. */
export type ProcessEvent =
  | { readonly type: "ready"; readonly limits: EngineLimits }
  | { readonly type: "stats"; readonly stats: StepStats }
  | { readonly type: "turn-requested" | "turn-ended" }
  /** The process has received its first sequence, or its last one has ended. */
  | { readonly type: "busy-changed"; readonly isBusy: boolean }
  /** `error` is the reason, as far as it is known. */
  | { readonly type: "exited"; readonly error: AppError };

export class EngineClient {
  readonly #child: ChildProcess;
  readonly #wanted: Writable;
  readonly #onEvent: (event: ProcessEvent) => void;
  readonly #streams = new Map<number, BufferedSequenceStream>();
  readonly #queue: QueueMirror;
  /** Adapters that the process has, or was ordered to load. */
  readonly #adapters = new Set<string>();
  /** Adapters that the process has. */
  readonly #loaded = new Set<string>();
  readonly #exit: Promise<void>;
  readonly #watch: HangWatch;
  #error: AppError | null = null;
  #hasExited = false;

  /**
   * Starts the engine; `ready` or `exited` follows.
   * @param child a process that waits for its options (`engine-processes.ts`)
   * @param hang other limits, for tests
   */
  constructor(
    child: ChildProcess,
    options: EngineOptions,
    onEvent: (event: ProcessEvent) => void,
    hang: HangLimits = HANG_LIMITS,
  ) {
    this.#onEvent = onEvent;
    this.#queue = new QueueMirror(options);
    this.#watch = new HangWatch(hang, (seconds) => {
      this.#error ??= new AppError(
        "engine_unavailable",
        `The engine process made no progress for ${seconds} s with work to do. The server ended it.`,
      );
      this.kill();
    });
    this.#child = child;
    this.#wanted = this.#child.stdio[WANTED_FD] as Writable; // `engine-processes.ts` opens it
    this.#wanted.on("error", () => {}); // errors of a pipe to a process that has gone do not matter
    const { promise, resolve } = withResolvers();
    this.#exit = promise;
    this.#child.on("message", (event: EngineEvent) => this.#receive(event));
    this.#child.on("error", (error) => {
      this.#error ??= new AppError("engine_unavailable", `The engine process: ${error.message}`, { cause: error });
      // For a process that could not be started, this is the only event. A process with a broken channel is useless.
      if (this.#child.pid === undefined) this.#end(null, null, resolve);
      else this.kill();
    });
    // "close" instead of "exit": it comes after the last message, which may give the reason.
    this.#child.on("close", (code, signal) => this.#end(code, signal, resolve));
    this.send({ type: "engine-started", options });
  }

  get numInFlight(): number {
    return this.#streams.size;
  }

  /** Sequences in flight that have no row. */
  get numWaiting(): number {
    return this.#queue.numWaiting;
  }

  /** Generations of the adapters that the process has ready. */
  get loadedAdapters(): ReadonlySet<string> {
    return this.#loaded;
  }

  /**
   * The error with which the process would refuse a request because its queue is full; null if it would accept the
   * request.
   */
  refusal(demand: QueueDemand): AppError | null {
    return this.#queue.refusal(demand, performance.now());
  }

  /** The process's id; undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @param id unique among all sequences of this process. */
  submit(id: number, request: SequenceRequest): SequenceStream {
    const stream = new BufferedSequenceStream(() => {
      this.send({ type: "sequence-cancelled", id });
      this.#forget(id);
    });
    this.#streams.set(id, stream);
    // A background sequence takes no place from others, so it is not counted.
    if (request.isBackground !== true) this.#queue.add(id, request.tenant, request.promptIds.length);
    if (this.#streams.size === 1) this.#noteBusy(true); // before the work arrives there
    this.send({ type: "sequence-added", sequence: { ...request, id } });
    return stream;
  }

  send(command: EngineCommand): void {
    if (!this.#child.connected) return; // the "exited" event will follow and fail the streams
    this.#child.send(command, (error) => {
      if (error !== null) this.kill();
    });
  }

  /** Announces a sequence with this adapter. The loader thread reads the announcement even while a step runs. */
  wantAdapter(ref: AdapterRef): void {
    if (this.#adapters.has(ref.generation) || !this.#wanted.writable) return;
    this.#adapters.add(ref.generation);
    this.#wanted.write(wantedLine(ref));
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Ends the process: by a message first, then, after `graceMs`, by force. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    if (this.#hasExited) return;
    this.send({ type: "engine-stopped" });
    const timer = setTimeout(() => this.kill(), graceMs);
    await this.#exit;
    clearTimeout(timer);
  }

  #receive(event: EngineEvent): void {
    this.#watch.noteSign(event.type === "step-finished" ? event.stats.seconds : 0);
    switch (event.type) {
      case "engine-ready":
        return this.#onEvent({ type: "ready", limits: event.limits });
      case "engine-failed":
        this.#error = fromWire(event.error);
        return;
      case "turn-requested":
      case "turn-ended":
        return this.#onEvent({ type: event.type });
      case "step-finished":
        this.#deal(event);
        this.#onEvent({ type: "stats", stats: event.stats });
    }
  }

  /** A stream that was cancelled is no longer in the map. */
  #deal(event: Extract<EngineEvent, { type: "step-finished" }>): void {
    const { added, admitted, prefilled, scored, pooled, sampled, finished, failed } = event;
    this.#noteAdapters(event.loadedAdapters, event.releasedAdapters);
    this.#queue.noteAdded(added);
    this.#queue.noteAdmitted(admitted, performance.now());
    for (const { id, numCached } of prefilled) {
      const stream = this.#streams.get(id);
      if (stream) stream.numCached = numCached;
    }
    for (const { id, logprobs } of scored) this.#streams.get(id)?.push({ type: "prompt-scored", logprobs });
    for (const { id, values } of pooled) this.#streams.get(id)?.push({ type: "prompt-pooled", values });
    for (const { id, tokenId, logprob } of sampled) this.#streams.get(id)?.push({ type: "token", tokenId, logprob });
    for (const { id, ...rest } of finished) {
      this.#streams.get(id)?.push({ type: "finished", ...rest });
      this.#forget(id);
    }
    for (const { id, error } of failed) {
      this.#streams.get(id)?.fail(fromWire(error));
      this.#forget(id);
    }
  }

  #noteAdapters(loaded: readonly string[], released: readonly string[]): void {
    for (const generation of loaded) {
      this.#adapters.add(generation);
      this.#loaded.add(generation);
    }
    for (const generation of released) {
      this.#adapters.delete(generation);
      this.#loaded.delete(generation);
    }
  }

  #forget(id: number): void {
    this.#queue.remove(id);
    if (this.#streams.delete(id) && this.#streams.size === 0) this.#noteBusy(false);
  }

  #noteBusy(isBusy: boolean): void {
    this.#watch.setBusy(isBusy);
    this.#onEvent({ type: "busy-changed", isBusy });
  }

  #end(code: number | null, signal: NodeJS.Signals | null, resolve: () => void): void {
    if (this.#hasExited) return;
    this.#hasExited = true;
    this.#loaded.clear();
    const reason = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
    const error = this.#error ?? new AppError("engine_unavailable", `The engine process ${reason}.`);
    for (const [id, stream] of this.#streams) {
      stream.fail(
        new AppError("engine_unavailable", `${error.message} Try again.`, { cause: error, retryAfterSeconds: 1 }),
      );
      this.#forget(id);
    }
    this.#onEvent({ type: "exited", error });
    resolve();
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
