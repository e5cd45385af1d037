/**
 * The events of one sequence as an async iterable, between the process that produces them and the request that reads
 * them. Its buffer needs no back-pressure: a sequence yields at most maxTokens + 2 events. For one reader.
 */
import type { SequenceEvent, SequenceStream } from "../engine.ts";
import type { AppError } from "../../errors.ts";

type Result = IteratorResult<SequenceEvent, undefined>;
interface Reader {
  resolve(result: Result): void;
  reject(error: AppError): void;
}

const DONE: Result = { done: true, value: undefined };

export class BufferedSequenceStream implements SequenceStream {
  numCached = 0;
  readonly #onCancel: () => void;
  readonly #buffer: SequenceEvent[] = [];
  #reader: Reader | null = null;
  #error: AppError | null = null;
  #hasEnded = false;

  /** @param onCancel called once at most, when the reader leaves before the end. */
  constructor(onCancel: () => void) {
    this.#onCancel = onCancel;
  }

  push(event: SequenceEvent): void {
    if (this.#hasEnded) return;
    this.#hasEnded = event.type === "finished";
    const reader = this.#takeReader();
    if (reader === null) this.#buffer.push(event);
    else reader.resolve({ done: false, value: event });
  }

  /** Ends the stream with an error, which the reader receives after the buffered events. */
  fail(error: AppError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const reader = this.#takeReader();
    if (reader === null) this.#error = error;
    else reader.reject(error);
  }

  /** Stops the work. A waiting reader sees the end of the iteration. */
  cancel(): void {
    this.#buffer.length = 0;
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#takeReader()?.resolve(DONE);
    this.#onCancel();
  }

  [Symbol.asyncIterator](): AsyncIterator<SequenceEvent, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.cancel();
        return Promise.resolve(DONE);
      },
    };
  }

  #next(): Promise<Result> {
    const event = this.#buffer.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    const error = this.#error;
    this.#error = null;
    if (error !== null) return Promise.reject(error);
    if (this.#hasEnded) return Promise.resolve(DONE);
    if (this.#reader !== null) return Promise.reject(new Error("internal: a sequence stream has one reader"));
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  #takeReader(): Reader | null {
    const reader = this.#reader;
    this.#reader = null;
    return reader;
  }
}
