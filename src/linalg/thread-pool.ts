/**
 * Jobs on worker threads. As many run at once as the pool has threads; others wait in order. Knows nothing of what the
 * jobs are. The owner must dispose the pool, or its threads keep the process alive.
 */
import { Worker } from "node:worker_threads";
import { type WireError, fromWire } from "../errors.ts";

/** A thread's answer to one job; one is sent for each, in order. */
export type ThreadAnswer<Result> = { readonly result: Result } | { readonly error: WireError };

/** A job as it is sent, with the buffers that the thread receives for good. */
export interface SentJob<Job> {
  readonly job: Job;
  readonly transferred: readonly ArrayBuffer[];
}

interface Pending<Job, Result> {
  readonly start: () => SentJob<Job>;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

export class ThreadPool<Job, Result> {
  readonly #name: string;
  readonly #numThreads: number;
  readonly #workerUrl: URL;
  readonly #waiting: Pending<Job, Result>[] = [];
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Pending<Job, Result>>();
  #isClosed = false;

  /**
   * Each thread is started when first needed. @param name of the work, for messages @param workerUrl the first file of
   * a thread. It answers every job with a `ThreadAnswer`.
   */
  constructor(name: string, numThreads: number, workerUrl: URL) {
    if (!(Number.isInteger(numThreads) && numThreads >= 1))
      throw new Error(`internal: a pool of ${numThreads} ${name} threads`);
    this.#name = name;
    this.#numThreads = numThreads;
    this.#workerUrl = workerUrl;
  }

  /**
   * The result of one job. @param start makes the job when a thread is free, so waiting jobs cost no memory
   * @throws the thread's error, as an `AppError`; an `Error` where the thread died or the pool was closed
   */
  run(start: () => SentJob<Job>): Promise<Result> {
    if (this.#isClosed) return Promise.reject(new Error(`internal: the ${this.#name} pool is closed`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ start, resolve, reject });
      this.#startWaiting();
    });
  }

  /** Ends the threads. Unfinished jobs are rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const workers = [...this.#idle, ...this.#busy.keys()];
    const unfinished = [...this.#busy.values(), ...this.#waiting];
    this.#busy.clear();
    this.#idle.length = 0;
    this.#waiting.length = 0;
    for (const { reject } of unfinished)
      reject(new Error(`internal: the ${this.#name} pool was closed before it was done`));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #startWaiting(): void {
    while (this.#waiting.length > 0) {
      const hasRoom = this.#idle.length + this.#busy.size < this.#numThreads;
      const worker = this.#idle.pop() ?? (hasRoom ? this.#startThread() : undefined);
      const pending = worker && this.#waiting.shift();
      if (!worker || !pending) return;
      this.#send(worker, pending);
    }
  }

  #send(worker: Worker, pending: Pending<Job, Result>): void {
    try {
      const { job, transferred } = pending.start();
      worker.postMessage(job, transferred);
      this.#busy.set(worker, pending);
    } catch (cause) {
      // There is no memory for the job. Only this one fails; the thread is intact.
      this.#idle.push(worker);
      pending.reject(new Error(`internal: a job could not be handed to a thread of the ${this.#name} pool`, { cause }));
    }
  }

  #startThread(): Worker {
    const worker = new Worker(this.#workerUrl);
    worker.on("message", (answer: ThreadAnswer<Result>) => {
      const pending = this.#busy.get(worker);
      this.#busy.delete(worker);
      if (this.#isClosed) return;
      this.#idle.push(worker);
      if ("result" in answer) pending?.resolve(answer.result);
      else pending?.reject(fromWire(answer.error));
      this.#startWaiting();
    });
    worker.on("error", (cause) => this.#lose(worker, cause));
    worker.on("exit", () => this.#lose(worker, undefined));
    return worker;
  }

  /** A dead thread fails only its own job. The next job gets a new thread. */
  #lose(worker: Worker, cause: unknown): void {
    const pending = this.#busy.get(worker);
    this.#busy.delete(worker);
    const at = this.#idle.indexOf(worker);
    if (at >= 0) this.#idle.splice(at, 1);
    const reason = cause instanceof Error ? cause.message : "it ended by itself";
    pending?.reject(new Error(`internal: a thread of the ${this.#name} pool died: ${reason}`, { cause }));
    if (!this.#isClosed) this.#startWaiting();
  }
}
