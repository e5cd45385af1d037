/**
 * Truncated SVDs on worker threads. As many run at once as the pool has threads; others wait in order. Knows nothing of
 * the mathematics. The owner must dispose the pool, or its threads keep the process alive.
 */
import { Worker } from "node:worker_threads";
import { fromWire } from "../errors.ts";
import { entryUrl } from "../program-files.ts";
import type { SvdAnswer, SvdJob } from "./svd-worker.ts";
import type { TruncatedSvd, TruncatedSvdOptions } from "./truncated-svd.ts";

/** Threads that compute truncated SVDs. */
export interface SvdPool {
  /**
   * `truncatedSvd` on a thread. The weight is copied when its turn comes, and the caller leaves it unchanged until
   * then.
   * @throws every error of `truncatedSvd`, as an `AppError`; an `Error` where the thread died or the pool was closed.
   */
  svd(weight: Float32Array, dOut: number, dIn: number, options: TruncatedSvdOptions): Promise<TruncatedSvd>;
  /** Ends the threads. Unfinished jobs are rejected. */
  [Symbol.asyncDispose](): Promise<void>;
}

interface Pending {
  readonly start: () => SvdJob;
  readonly resolve: (result: TruncatedSvd) => void;
  readonly reject: (error: Error) => void;
}

const WORKER_URL = entryUrl("linalg/svd-worker");

/**
 * A pool of `numThreads` threads, each started when first needed. @param workerUrl the worker's script, when it is not
 * the program's own
 */
export function createSvdPool(numThreads: number, workerUrl: URL = WORKER_URL): SvdPool {
  if (!(Number.isInteger(numThreads) && numThreads >= 1))
    throw new Error(`internal: an SVD pool of ${numThreads} threads`);
  return new ThreadPool(numThreads, workerUrl);
}

class ThreadPool implements SvdPool {
  readonly #numThreads: number;
  readonly #workerUrl: URL;
  readonly #waiting: Pending[] = [];
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Pending>();
  #isClosed = false;

  constructor(numThreads: number, workerUrl: URL) {
    this.#numThreads = numThreads;
    this.#workerUrl = workerUrl;
  }

  svd(weight: Float32Array, dOut: number, dIn: number, options: TruncatedSvdOptions): Promise<TruncatedSvd> {
    if (this.#isClosed) return Promise.reject(new Error("internal: the SVD pool is closed"));
    return new Promise((resolve, reject) => {
      // Copied only when a thread is free, so waiting jobs cost no memory.
      const start = () => ({ weight: weight.slice(), dOut, dIn, options });
      this.#waiting.push({ start, resolve, reject });
      this.#startWaiting();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const workers = [...this.#idle, ...this.#busy.keys()];
    const unfinished = [...this.#busy.values(), ...this.#waiting];
    this.#busy.clear();
    this.#idle.length = 0;
    this.#waiting.length = 0;
    for (const { reject } of unfinished) reject(new Error("internal: the SVD pool was closed before it was done"));
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

  #send(worker: Worker, pending: Pending): void {
    try {
      const job = pending.start();
      worker.postMessage(job, [job.weight.buffer]);
      this.#busy.set(worker, pending);
    } catch (cause) {
      // There is no memory for the copy. Only this job fails; the thread is intact.
      this.#idle.push(worker);
      pending.reject(new Error("internal: a weight could not be handed to an SVD thread", { cause }));
    }
  }

  #startThread(): Worker {
    const worker = new Worker(this.#workerUrl);
    worker.on("message", (answer: SvdAnswer) => {
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
    pending?.reject(new Error(`internal: an SVD thread died: ${reason}`, { cause }));
    if (!this.#isClosed) this.#startWaiting();
  }
}
