/**
 * The loader thread as the engine's own thread sees it: a queue of adapters to load, and one reply to each. The
 * server's process adds orders to the same queue over a pipe, which the loader thread reads. The engine's own thread
 * would read them only between two steps. `ready-adapters.ts` decides which rows are kept.
 */
import { Worker } from "node:worker_threads";
import type { WireError } from "../../errors.ts";
import { entryUrl } from "../../program-files.ts";
import type { AdapterRef } from "../protocol.ts";
import type { AdapterRow } from "./adapter-row.ts";
import type { LoadOptions } from "./load-adapter.ts";

export interface LoaderData extends LoadOptions {
  readonly storeDir: string;
  /** A pipe with the adapters that the server orders (`engine/wanted-line.ts`); null: there is none. */
  readonly wantedFd: number | null;
}

/** `numRead`: number of replies read before this order was written. */
export type LoadOrder = { readonly ref: AdapterRef; readonly numRead: number } | { readonly type: "end" };

export interface LoadReply {
  readonly generation: string;
  /** Whether the server ordered this load. */
  readonly isAhead: boolean;
  /** `seconds`: how long the thread read and laid out. */
  readonly outcome: { readonly row: AdapterRow; readonly seconds: number } | { readonly error: WireError };
}

const ENTRY = entryUrl("engine/adapters/loader-thread");

export class AdapterLoader implements AsyncDisposable {
  readonly #thread: Worker;
  readonly #exit: Promise<unknown>;
  #numRead = 0;
  #onReply: (reply: LoadReply) => void = () => {};
  #isClosed = false;

  constructor(data: LoaderData) {
    this.#thread = new Worker(ENTRY, { workerData: data });
    this.#thread.unref();
    this.#thread.on("message", (reply: LoadReply) => {
      this.#numRead++;
      if (!this.#isClosed) this.#onReply(reply);
    });
    // An engine that cannot read adapters is useless. Its process ends with the reason, and the server starts another
    // process.
    this.#thread.on("error", (error) => {
      if (!this.#isClosed) throw error;
    });
    this.#exit = new Promise((resolve) => this.#thread.once("exit", resolve));
    this.#thread.on("exit", (code) => {
      if (!this.#isClosed) throw new Error(`internal: the thread that reads adapters ended with code ${code}`);
    });
  }

  /** Adds an adapter to the queue. */
  readonly order = (ref: AdapterRef): void => {
    if (!this.#isClosed) this.#post({ ref, numRead: this.#numRead });
  };

  /** Sets the one listener. */
  onReply(listener: (reply: LoadReply) => void): void {
    this.#onReply = listener;
  }

  /**
   * Lets the thread end by itself. If a thread is terminated while it opens the store, the whole process ends ("FATAL
   * ERROR: Error::ThrowAsJavaScriptException napi_throw", lmdb 3.5.6).
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#thread.ref();
      this.#post({ type: "end" });
    }
    await this.#exit;
  }

  #post(order: LoadOrder): void {
    this.#thread.postMessage(order);
  }
}
