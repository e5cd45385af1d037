/** Makes adapters ready on a thread of its own, one after the other. Knows nothing of what is kept (`adapter-cache.ts`). */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { AppError, fromWire, type WireError } from "../errors.ts";
import type { AdapterRef } from "./protocol.ts";
import type { AdapterRow } from "./adapter-row.ts";
import type { LoadOptions } from "./load-adapter.ts";

/** Makes an adapter ready. @throws {AppError} as `loadAdapter`. */
export type LoadAdapter = (ref: AdapterRef) => Promise<AdapterRow>;

export interface LoadWorkerData extends LoadOptions {
  readonly storeDir: string;
}

export interface LoadRequest {
  readonly id: number;
  readonly ref: AdapterRef;
}

export type LoadReply =
  | { readonly id: number; readonly row: AdapterRow }
  | { readonly id: number; readonly error: WireError };

/** The worker's entry: beside this file, compiled or not as this file is. */
const ENTRY = new URL(`./adapter-load-worker${extname(new URL(import.meta.url).pathname)}`, import.meta.url);

interface Waiter {
  readonly resolve: (row: AdapterRow) => void;
  readonly reject: (error: Error) => void;
}

export class AdapterLoader {
  readonly #worker: Worker;
  readonly #waiters = new Map<number, Waiter>();
  #nextId = 0;
  #isClosed = false;

  constructor(data: LoadWorkerData) {
    this.#worker = new Worker(ENTRY, { workerData: data });
    this.#worker.unref();
    this.#worker.on("message", (reply: LoadReply) => {
      const waiter = this.#waiters.get(reply.id);
      this.#waiters.delete(reply.id);
      if ("row" in reply) waiter?.resolve(reply.row);
      else waiter?.reject(fromWire(reply.error));
    });
    // An engine that cannot read adapters is of no use: its process ends with the reason, and another one is started.
    this.#worker.on("error", (error) => {
      throw error;
    });
    this.#worker.on("exit", (code) => {
      if (!this.#isClosed) throw new Error(`internal: the thread that reads adapters ended with code ${code}`);
    });
  }

  readonly load: LoadAdapter = (ref) =>
    new Promise<AdapterRow>((resolve, reject) => {
      if (this.#isClosed) return reject(new AppError("engine_unavailable", "The engine is being stopped."));
      const id = this.#nextId++;
      this.#waiters.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ref } satisfies LoadRequest);
    });

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker.terminate();
    const error = new AppError("engine_unavailable", "The engine is being stopped.");
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }
}
