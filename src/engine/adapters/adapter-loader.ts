/**
 * Makes adapters ready on a thread of its own, one after the other. What the server's process wants ahead reaches that thread directly, over a
 * pipe: this one computes, and would hear of it between two steps only. Knows nothing of what is kept (`adapter-cache.ts`).
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { AppError, fromWire, type WireError } from "../../errors.ts";
import type { AdapterRef } from "../protocol.ts";
import type { AdapterRow } from "./adapter-row.ts";
import type { LoadOptions } from "./load-adapter.ts";

/** Makes an adapter ready. @throws {AppError} as `loadAdapter`. */
export type LoadAdapter = (ref: AdapterRef) => Promise<AdapterRow>;

export interface LoadWorkerData extends LoadOptions {
  readonly storeDir: string;
  /** A pipe that tells generations which are wanted ahead, a line each; null: none are. */
  readonly wantedFd: number | null;
}

/** `forgotten`: a row that was given is not held any more, so that it has to be given again when it is wanted. */
export type LoadRequest = { readonly ref: AdapterRef } | { readonly forgotten: string };

export interface LoadReply {
  readonly generation: string;
  readonly outcome: { readonly row: AdapterRow } | { readonly error: WireError };
}

/** The worker's entry: beside this file, compiled or not as this file is. */
const ENTRY = new URL(`./adapter-load-worker${extname(new URL(import.meta.url).pathname)}`, import.meta.url);

interface Waiter {
  readonly resolve: (row: AdapterRow) => void;
  readonly reject: (error: Error) => void;
}

export class AdapterLoader {
  readonly #worker: Worker;
  readonly #waiters = new Map<string, Waiter>();
  #onWanted: (row: AdapterRow) => void = () => {};
  #isClosed = false;

  constructor(data: LoadWorkerData) {
    this.#worker = new Worker(ENTRY, { workerData: data });
    this.#worker.unref();
    this.#worker.on("message", (reply: LoadReply) => this.#receive(reply));
    // An engine that cannot read adapters is of no use: its process ends with the reason, and another one is started.
    this.#worker.on("error", (error) => {
      throw error;
    });
    this.#worker.on("exit", (code) => {
      if (!this.#isClosed) throw new Error(`internal: the thread that reads adapters ended with code ${code}`);
    });
  }

  /** One call a generation at a time. */
  readonly load: LoadAdapter = (ref) =>
    new Promise<AdapterRow>((resolve, reject) => {
      if (this.#isClosed) return reject(new AppError("engine_unavailable", "The engine is being stopped."));
      this.#waiters.set(ref.generation, { resolve, reject });
      this.#post({ ref });
    });

  /** `listener` gets the rows that were wanted ahead. */
  onWanted(listener: (row: AdapterRow) => void): void {
    this.#onWanted = listener;
  }

  /** To be called for every row that was given and is not held any more. */
  readonly forget = (generation: string): void => this.#post({ forgotten: generation });

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker.terminate();
    const error = new AppError("engine_unavailable", "The engine is being stopped.");
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }

  #post(request: LoadRequest): void {
    this.#worker.postMessage(request);
  }

  #receive({ generation, outcome }: LoadReply): void {
    const waiter = this.#waiters.get(generation);
    this.#waiters.delete(generation);
    if ("error" in outcome) waiter?.reject(fromWire(outcome.error));
    else if (waiter) waiter.resolve(outcome.row);
    else this.#onWanted(outcome.row);
  }
}
