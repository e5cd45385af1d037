/**
 * The loader thread as the engine's own thread sees it: a queue of adapters to load, and a reply to each. The server's process puts orders
 * into the same queue over a pipe, because this thread computes and would read them between two steps only.
 * Knows nothing of what is kept (`ready-adapters.ts`).
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { WireError } from "../../errors.ts";
import type { AdapterRef } from "../protocol.ts";
import type { AdapterRow } from "./adapter-row.ts";
import type { LoadOptions } from "./load-adapter.ts";

export interface LoaderData extends LoadOptions {
  readonly storeDir: string;
  /** A pipe with the generations that the server orders, a line each; null: there is none. */
  readonly wantedFd: number | null;
}

/** `numRead`: how many replies had been read when this order was written. */
export type LoadOrder = { readonly ref: AdapterRef; readonly numRead: number } | { readonly type: "end" };

export interface LoadReply {
  readonly generation: string;
  /** Whether the server ordered it. */
  readonly isAhead: boolean;
  readonly outcome: { readonly row: AdapterRow } | { readonly error: WireError };
}

/** The thread's entry: beside this file, compiled or not as this file is. */
const ENTRY = new URL(`./loader-thread${extname(new URL(import.meta.url).pathname)}`, import.meta.url);

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
    // An engine that cannot read adapters is of no use: its process ends with the reason, and another one is started.
    this.#thread.on("error", (error) => {
      if (!this.#isClosed) throw error;
    });
    this.#exit = new Promise((resolve) => this.#thread.once("exit", resolve));
    this.#thread.on("exit", (code) => {
      if (!this.#isClosed) throw new Error(`internal: the thread that reads adapters ended with code ${code}`);
    });
  }

  /** Puts an adapter into the queue. */
  readonly order = (ref: AdapterRef): void => {
    if (!this.#isClosed) this.#post({ ref, numRead: this.#numRead });
  };

  /** For one listener. */
  onReply(listener: (reply: LoadReply) => void): void {
    this.#onReply = listener;
  }

  /**
   * Lets the thread end by itself: one that is terminated while it opens the store takes the process with it
   * ("FATAL ERROR: Error::ThrowAsJavaScriptException napi_throw", lmdb 3.5.6).
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
