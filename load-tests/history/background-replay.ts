/** Replays full files of receipts, one after another, while the history goes on. */
import type { Receipts } from "./receipts.ts";
import type { Replayed } from "./replay.ts";

export interface BackgroundParts {
  readonly receipts: Receipts;
  readonly replay: (file: string) => Promise<Replayed>;
  readonly onReplayed: (replayed: Replayed) => void;
}

export class BackgroundReplay {
  readonly #parts: BackgroundParts;
  #running: Promise<void> | null = null;

  constructor(parts: BackgroundParts) {
    this.#parts = parts;
  }

  /** Replays the full files, unless that goes on already. A file with a fault is kept, and ends the replay. */
  begin(): void {
    this.#running ??= this.#replayFull().finally(() => (this.#running = null));
  }

  /** Replays all receipts, those of the file that is not full too. */
  async finish(): Promise<void> {
    await this.#running;
    this.#parts.receipts.close();
    await this.#replayFull();
  }

  async #replayFull(): Promise<void> {
    const { receipts, replay, onReplayed } = this.#parts;
    for (let file = receipts.oldestFull(); file !== undefined; file = receipts.oldestFull()) {
      const replayed = await replay(file).catch((error: Error) => ({ numReceipts: 0, faults: [error.message] }));
      onReplayed(replayed);
      if (replayed.faults.length > 0) return;
      receipts.markReplayed(file);
    }
  }
}
