/**
 * Facts of one request for its line in the log, gathered while it runs. The line is written when every holder has
 * released the record. A stream releases it at its end, not at its beginning.
 */
import type { FinishedReason } from "../../metrics/table.ts";

/** One sequence of a request that has ended. */
export interface SequenceRecord {
  readonly promptTokens: number;
  readonly tokens: number;
  readonly finishReason: FinishedReason;
  readonly firstTokenSeconds: number | null;
  /**
   * The time of its end, in ms since 1970, and the times of its parts. `times` is null if the sequence failed before
   * the engine reported them.
   */
  readonly endedAt: number;
  readonly times: SequenceTimes | null;
}

/** Times in seconds, one after the other. `adapterSeconds` is a part of `queueSeconds`. */
export interface SequenceTimes {
  readonly queueSeconds: number;
  readonly adapterSeconds: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

export class RequestRecord {
  readonly #startedAt = performance.now();
  readonly #sequences: SequenceRecord[] = [];
  #numHolders = 0;
  readonly #onDone: (() => void)[] = [];
  adapter: string | null = null;
  generation: string | null = null;
  /** The alias that the request named. */
  alias: string | null = null;
  /** Weights by the names of adapters, where the adapter is a blend. */
  blend: Readonly<Record<string, number>> | null = null;
  /** When the adapter was looked up in the shared store (--store), in ms since 1970. A fetch is part of it. */
  lookup: { readonly from: number; readonly to: number } | null = null;
  /** Code of the error that was answered, or that ended a stream. */
  errorCode: string | null = null;
  /** Only with --log-prompts. */
  prompt: unknown;
  cachedTokens = 0;

  add(sequence: SequenceRecord): void {
    this.#sequences.push(sequence);
  }

  /** Prompt and generated tokens of the sequences that have ended. */
  numTokens(): number {
    const totals = this.totals();
    return totals === null ? 0 : totals.promptTokens + totals.tokens;
  }

  /** Sums over the sequences that have ended, and each reason once; null: none has ended. */
  totals(): { promptTokens: number; tokens: number; finishReasons: FinishedReason[] } | null {
    const sequences = this.#sequences;
    if (sequences.length === 0) return null;
    const sum = (pick: (sequence: SequenceRecord) => number) => sequences.reduce((total, one) => total + pick(one), 0);
    return {
      promptTokens: sum(({ promptTokens }) => promptTokens),
      tokens: sum(({ tokens }) => tokens),
      finishReasons: [...new Set(sequences.map(({ finishReason }) => finishReason))],
    };
  }

  /** Delays the log line until the returned function is called. */
  hold(): () => void {
    this.#numHolders += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#numHolders -= 1;
      if (this.#numHolders === 0) for (const listener of this.#onDone.splice(0)) listener();
    };
  }

  /** The sequences that have ended. */
  get sequences(): readonly SequenceRecord[] {
    return this.#sequences;
  }

  /** Calls `listener` once, when no holder is left, or at once if there is none. */
  whenDone(listener: () => void): void {
    if (this.#numHolders === 0) listener();
    else this.#onDone.push(listener);
  }

  /** The facts that are known. */
  toFields(): object {
    const totals = this.totals();
    const first = (pick: (sequence: SequenceRecord) => number | null) =>
      this.#sequences
        .map(pick)
        .reduce((least, value) => (value !== null && (least === null || value < least) ? value : least), null);
    const fields = {
      adapter: this.adapter,
      generation: this.generation,
      alias: this.alias,
      blend: this.blend,
      promptTokens: totals?.promptTokens ?? null,
      cachedTokens: totals === null ? null : this.cachedTokens,
      tokens: totals?.tokens ?? null,
      finishReason: totals?.finishReasons.join(",") ?? null,
      seconds: (performance.now() - this.#startedAt) / 1000,
      queueSeconds: first(({ times }) => times?.queueSeconds ?? null),
      firstTokenSeconds: first(({ firstTokenSeconds }) => firstTokenSeconds),
      error: this.errorCode,
      prompt: this.prompt ?? null,
    };
    return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
  }
}
