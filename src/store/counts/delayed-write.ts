/** A write that is made some seconds after it was asked for, so that many changes share it. Knows no table. */

const DELAY_MS = 5000;

export class DelayedWrite {
  readonly #write: () => Promise<void>;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** @param write keeps what it could not write, for the next time */
  constructor(write: () => Promise<void>) {
    this.#write = write;
  }

  schedule(): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(
      () => void this.run().catch((error: unknown) => process.emitWarning(error as Error)),
      DELAY_MS,
    ).unref();
  }

  /** Writes at once. */
  async run(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#write();
  }

  /** Writes a last time. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.run();
  }
}
