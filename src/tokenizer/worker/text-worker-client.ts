/**
 * Runs text work off the main thread. One worker owns the tokenizer and the
 * template. It renders templates and encodes long texts, one job at a time.
 * A job that exceeds its time limit fails, and its worker is killed and replaced.
 * Short texts without a template are encoded in the calling thread, where a message to a worker would cost more.
 */
import { Worker } from "node:worker_threads";
import { AppError, fromWire } from "../../errors.ts";
import { entryUrl } from "../../program-files.ts";
import type { ChatMessage } from "../chat/chat-message.ts";
import type { RenderOptions } from "../chat/chat-template.ts";
import type { TextJob, TextReply, TextWorkerData } from "./text-protocol.ts";
import { readTextFiles, type TextFiles } from "../files/text-files.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer.ts";

/**
 * Longest text, in UTF-16 units, for the calling thread. SentencePiece
 * BPE, the slowest, needs 9 µs a unit: 20 ms of the event loop.
 */
const MAX_IN_THREAD = 2048;
const MAX_WAITING = 1024;
const START_TIMEOUT_MS = 120_000;
/** Heap of the worker: enough for two vocabularies of 256,000 tokens. A template that needs more is stopped. */
const MAX_HEAP_MB = 2048;

/** Time limits, in milliseconds. */
export interface TextWorkerLimits {
  readonly encodeTimeoutMs: number;
  readonly templateTimeoutMs: number;
}

/** Options of a text worker. */
export interface TextWorkerOptions extends Partial<TextWorkerLimits> {
  /** The text files of the same directory, where they are read already. */
  readonly files?: TextFiles;
  /** Source of the default chat template, instead of the directory's. */
  readonly chatTemplate?: string | null;
}

/** Encodes without blocking the calling thread. Closed by its owner. */
export interface TextWorker extends AsyncDisposable {
  /** The same tokenizer for short work and for decoding in this thread. */
  readonly tokenizer: Tokenizer;
  /**
   * Ids of a text. @throws {AppError} invalid_request when it cannot be encoded in time; overloaded when too many wait.
   */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Promise<number[]>;
  /** Ids of a conversation's prompt. @throws {AppError} invalid_request with the template's message or the failure. */
  encodeChat(messages: readonly ChatMessage[], options?: RenderOptions): Promise<number[]>;
  /** Ends the worker. Waiting jobs fail with engine_unavailable. */
  close(): Promise<void>;
}

interface WaitingJob {
  readonly job: TextJob;
  readonly resolve: (ids: number[]) => void;
  readonly reject: (error: Error) => void;
}

/** A running text worker for a base directory or checkpoint. @throws {AppError} when its tokenizer cannot be loaded. */
export async function createTextWorker(dir: string, options: TextWorkerOptions = {}): Promise<TextWorker> {
  const files = options.files ?? (await readTextFiles(dir));
  const owner = new WorkerOwner(
    { dir, chatTemplate: options.chatTemplate ?? null },
    {
      encodeTimeoutMs: options.encodeTimeoutMs ?? 30_000,
      templateTimeoutMs: options.templateTimeoutMs ?? 5_000,
    },
  );
  const close = (): Promise<void> => owner.close();
  const started = owner.start(); // both threads load a tokenizer, at the same time
  let tokenizer: Tokenizer;
  try {
    tokenizer = makeTokenizer(files.tokenizer, dir);
    await started;
  } catch (error) {
    started.catch(() => {}); // fails for the same reason
    await close();
    throw error;
  }
  return {
    tokenizer,
    async encode(text, { addSpecialTokens = true } = {}) {
      if (text.length <= MAX_IN_THREAD) return tokenizer.encode(text, { addSpecialTokens });
      return owner.submit({ kind: "encode", text, addSpecialTokens });
    },
    encodeChat: (messages, chatOptions = {}) => owner.submit({ kind: "encode-chat", messages, options: chatOptions }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Keeps one worker alive and gives it one job at a time, so that a time limit always ends the job that exceeded it. */
class WorkerOwner {
  readonly #data: TextWorkerData;
  readonly #limits: TextWorkerLimits;
  readonly #waiting: WaitingJob[] = [];
  #current: (WaitingJob & { readonly id: number }) | undefined;
  #worker: Worker | undefined;
  #isReady = false;
  #isClosed = false;
  #nextId = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(data: TextWorkerData, limits: TextWorkerLimits) {
    this.#data = data;
    this.#limits = limits;
  }

  /** Starts the first worker and waits until it has loaded. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => this.#spawn(resolve, reject));
  }

  submit(job: TextJob): Promise<number[]> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(unavailable());
      if (this.#waiting.length >= MAX_WAITING) {
        return reject(
          new AppError("overloaded", `${MAX_WAITING} texts already wait to be encoded. Try again shortly.`),
        );
      }
      this.#waiting.push({ job, resolve, reject });
      if (this.#worker === undefined) this.#respawn();
      else this.#next();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#abandon(unavailable());
    await this.#stop();
  }

  #abandon(error: Error): void {
    this.#settle((job) => job.reject(error));
    for (const job of this.#waiting.splice(0)) job.reject(error);
  }

  #spawn(onReady: () => void, onFailed: (error: Error) => void): void {
    const worker = new Worker(entryUrl("tokenizer/worker/text-worker"), {
      workerData: this.#data,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    this.#worker = worker;
    this.#isReady = false;
    const failed = (error: Error): void => {
      if (this.#worker === worker) void this.#stop();
      onFailed(error);
    };
    this.#arm(START_TIMEOUT_MS, () =>
      failed(new AppError("engine_unavailable", "The text worker did not start in time.")),
    );
    worker.on("message", (reply: TextReply) => {
      if (this.#worker !== worker) return;
      if (reply.kind === "worker-failed") return failed(fromWire(reply.error));
      if (reply.kind !== "worker-ready") return this.#receive(reply);
      clearTimeout(this.#timer);
      this.#isReady = true;
      worker.unref(); // an idle worker keeps no process alive, a busy one does
      onReady();
      this.#next();
    });
    worker.on("error", (error: Error) => {
      if (this.#worker !== worker) return;
      const wasReady = this.#isReady;
      this.#isReady = false;
      this.#worker = undefined;
      clearTimeout(this.#timer);
      if (!wasReady) return onFailed(error);
      this.#settle((job) => job.reject(crashed(job.job, error)));
      this.#respawn();
    });
  }

  /** A later worker that cannot start fails all waiting jobs; the next job tries again. */
  #respawn(): void {
    if (this.#isClosed) return;
    this.#spawn(
      () => undefined,
      (error) =>
        this.#abandon(
          new AppError("engine_unavailable", `The text worker cannot be restarted: ${error.message}`, { cause: error }),
        ),
    );
  }

  #next(): void {
    if (!this.#isReady || this.#current !== undefined || this.#worker === undefined) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    const id = this.#nextId++;
    this.#current = { ...job, id };
    const isChat = job.job.kind === "encode-chat";
    this.#arm(isChat ? this.#limits.templateTimeoutMs : this.#limits.encodeTimeoutMs, () => this.#expire(isChat));
    this.#worker.ref();
    this.#worker.postMessage({ ...job.job, id });
  }

  #receive(reply: Extract<TextReply, { id: number }>): void {
    if (this.#current?.id !== reply.id) return;
    if (reply.kind === "prompt-rendered") return this.#arm(this.#limits.encodeTimeoutMs, () => this.#expire(false));
    clearTimeout(this.#timer);
    this.#settle((job) =>
      reply.kind === "text-encoded" ? job.resolve(Array.from(reply.ids)) : job.reject(fromWire(reply.error)),
    );
    this.#next();
  }

  #settle(answer: (job: WaitingJob) => void): void {
    const job = this.#current;
    this.#current = undefined;
    if (this.#isReady) this.#worker?.unref();
    if (job !== undefined) answer(job);
  }

  #arm(timeoutMs: number, expire: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(expire, timeoutMs);
    this.#timer.unref();
  }

  #expire(isTemplate: boolean): void {
    const { templateTimeoutMs, encodeTimeoutMs } = this.#limits;
    const message = isTemplate
      ? `The model's chat template took longer than ${templateTimeoutMs} ms for this conversation and was stopped.`
      : `Encoding the text took longer than ${encodeTimeoutMs} ms and was stopped. Send a shorter one.`;
    this.#settle((job) => job.reject(new AppError("invalid_request", message)));
    void this.#stop();
    this.#respawn();
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    const worker = this.#worker;
    this.#worker = undefined;
    this.#isReady = false;
    await worker?.terminate();
  }
}

function unavailable(): AppError {
  return new AppError("engine_unavailable", "The server is shutting down.");
}

function crashed(job: TextJob, cause: Error): AppError {
  const what = job.kind === "encode-chat" ? "The model's chat template needed" : "The text needed";
  return new AppError("invalid_request", `${what} more memory than it may use and was stopped (${cause.message}).`, {
    cause,
  });
}
