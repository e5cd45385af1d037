/**
 * Keeps one engine alive: it restarts the process with growing delays when it dies, and knows whether the engine can
 * serve now. The supervisor owns several units. Knows nothing of adapters, placement or HTTP.
 */
import { AppError } from "../../errors.ts";
import { EngineClient, type ProcessEvent } from "./engine-client.ts";
import type { EngineProcesses } from "./engine-processes.ts";
import type { QueueDemand, Readiness, SequenceRequest, SequenceStream } from "../engine.ts";
import { HANG_LIMITS, type HangLimits } from "./hang-watch.ts";
import type { AdapterRef, EngineCommand, EngineLimits, EngineOptions } from "../protocol.ts";

/** Restart delays double from `minMs` to `maxMs` and start over once a process has served for `healthyMs`. */
export interface RestartPolicy {
  readonly minMs: number;
  readonly maxMs: number;
  readonly healthyMs: number;
  /** How long a busy process may be silent before it is ended. */
  readonly hang: HangLimits;
}

export const RESTART_POLICY: RestartPolicy = { minMs: 200, maxMs: 10_000, healthyMs: 30_000, hang: HANG_LIMITS };

/** Pause before the next start. @param numFailures number of processes that ended in a row before this one. */
export function restartDelayMs({ minMs, maxMs }: Pick<RestartPolicy, "minMs" | "maxMs">, numFailures: number): number {
  return Math.min(maxMs, minMs * 2 ** numFailures);
}

/** Time an engine gets to close its sessions before it is killed. */
const CLOSE_MS = 2000;

/** Events of an engine: those of its processes, unchanged, and the start of a new process in place of a dead one. */
export type UnitEvent = ProcessEvent | { readonly type: "restarted" };

export type UnitListener = (unit: EngineUnit, event: UnitEvent) => void;

export class EngineUnit {
  readonly #options: EngineOptions;
  readonly #listener: UnitListener;
  readonly #processes: EngineProcesses;
  readonly #policy: RestartPolicy;
  readonly #firstStart: Promise<void>;
  #settleFirst: (error: AppError | null) => void = () => {};
  #client: EngineClient;
  #limits: EngineLimits | null = null;
  #readyAt: number | null = null;
  #numFailures = 0;
  #lastError: AppError | null = null;
  #restartTimer: NodeJS.Timeout | null = null;
  #isStopped = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: EngineOptions, listener: UnitListener, policy: RestartPolicy, processes: EngineProcesses) {
    this.#options = options;
    this.#listener = listener;
    this.#policy = policy;
    this.#processes = processes;
    this.#firstStart = new Promise((resolve, reject) => {
      this.#settleFirst = (error) => (error === null ? resolve() : reject(error));
    });
    this.#firstStart.catch(() => {}); // callers that wait get the rejection; without callers it is ignored
    this.#client = this.#start();
  }

  /**
   * Resolves when the first process serves. @throws {AppError} why the first process ended before that; restarts
   * continue.
   */
  whenReady(): Promise<void> {
    return this.#firstStart;
  }

  get isReady(): boolean {
    return this.#readyAt !== null && !this.#isStopped;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Limits of the last process that was ready. */
  get limits(): EngineLimits | null {
    return this.#limits;
  }

  get pid(): number | undefined {
    return this.#client.pid;
  }

  readiness(): Readiness {
    if (this.#isStopped) return { isReady: false, reason: "the server is stopping" };
    if (this.#readyAt !== null) return { isReady: true };
    if (this.#lastError === null) return { isReady: false, reason: "the engine is starting" };
    return { isReady: false, reason: `the engine is being restarted: ${this.#lastError.message}` };
  }

  /** Sequences that wait for a row. */
  get numWaiting(): number {
    return this.#client.numWaiting;
  }

  /** Generations of the adapters that are ready; none after a restart. */
  get loadedAdapters(): ReadonlySet<string> {
    return this.#client.loadedAdapters;
  }

  /**
   * The error with which a request would be refused now (overloaded, engine_unavailable); null if it would be accepted.
   */
  refusal(demand: QueueDemand): AppError | null {
    return this.#unavailable() ?? this.#client.refusal(demand);
  }

  /** @throws {AppError} engine_unavailable while no process serves. */
  submit(id: number, request: SequenceRequest): SequenceStream {
    const unavailable = this.#unavailable();
    if (unavailable !== null) throw unavailable;
    return this.#client.submit(id, request);
  }

  #unavailable(): AppError | null {
    const readiness = this.readiness();
    if (readiness.isReady) return null;
    return new AppError("engine_unavailable", `Cannot answer now: ${readiness.reason}. Try again.`, {
      retryAfterSeconds: 1,
    });
  }

  /** Makes an adapter ready for an announced sequence. */
  wantAdapter(ref: AdapterRef): void {
    this.#client.wantAdapter(ref);
  }

  send(command: EngineCommand): void {
    this.#client.send(command);
  }

  /** Resolves when no sequence is in flight, or after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    if (this.#client.numInFlight === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#idleWaiters.push(resolve);
      if (Number.isFinite(timeoutMs)) timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
  }

  /** Ends the process for good. Sequences in flight fail with engine_unavailable. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    this.#settleFirst(new AppError("engine_unavailable", "The engine was stopped before it was ready."));
    // A process that is still loading cannot read messages yet.
    if (this.#readyAt === null) this.#client.kill();
    await this.#client.stop(CLOSE_MS);
  }

  #start(): EngineClient {
    const child = this.#processes.next();
    return new EngineClient(child, this.#options, (event) => this.#receive(event), this.#policy.hang);
  }

  /**
   * Updates this engine's state, then forwards the event. The next process is scheduled after the owner has received
   * the event.
   */
  #receive(event: ProcessEvent): void {
    switch (event.type) {
      case "ready":
        this.#limits = event.limits;
        this.#readyAt = performance.now();
        this.#settleFirst(null);
        return this.#listener(this, event);
      case "busy-changed":
        this.#listener(this, event);
        if (!event.isBusy) for (const resolve of this.#idleWaiters.splice(0)) resolve();
        return;
      case "exited":
        this.#noteExit(event.error);
        this.#listener(this, event);
        if (!this.#isStopped) this.#restart();
        return;
      case "stats":
      case "turn-requested":
      case "turn-ended":
        return this.#listener(this, event);
    }
  }

  #noteExit(error: AppError): void {
    const wasHealthy = this.#readyAt !== null && performance.now() - this.#readyAt >= this.#policy.healthyMs;
    if (wasHealthy) this.#numFailures = 0;
    this.#readyAt = null;
    this.#lastError = error;
    this.#settleFirst(error);
  }

  #restart(): void {
    this.#restartTimer = setTimeout(
      () => {
        this.#client = this.#start();
        this.#listener(this, { type: "restarted" });
      },
      restartDelayMs(this.#policy, this.#numFailures++),
    );
  }
}
