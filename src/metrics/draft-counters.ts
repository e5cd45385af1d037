/** The metrics of speculation: guessed tokens, by their source, and the cost of the draft model. */
import type { Counter, Gauge } from "prom-client";
import type { DraftBytes, StepStats } from "../engine/protocol.ts";

interface Recorders {
  /** vLLM's counters: runs with guesses, guessed tokens, and those of them that were chosen. */
  readonly drafts: Counter;
  readonly tokens: Counter;
  readonly accepted: Counter;
  /** The same tokens by source. */
  readonly tokensBySource: Counter;
  readonly acceptedBySource: Counter;
  readonly seconds: Counter;
  readonly bytes: Gauge;
}

export class DraftCounters {
  readonly #recorders: Recorders;
  readonly #model: { readonly model_name: string };

  constructor(model: { readonly model_name: string }, recorders: Recorders) {
    this.#model = model;
    this.#recorders = recorders;
  }

  /**
   * Records a step that speculates. Without guesses, it read a part of a text, or its outcome was not known in time.
   */
  record({ numDrafted, numAccepted, draftSource: source, draftSeconds }: StepStats): void {
    const { drafts, tokens, accepted, tokensBySource, acceptedBySource, seconds } = this.#recorders;
    seconds.inc(draftSeconds);
    if (numDrafted === 0) return;
    drafts.inc(this.#model);
    tokens.inc(this.#model, numDrafted);
    accepted.inc(this.#model, numAccepted);
    tokensBySource.inc({ source }, numDrafted);
    acceptedBySource.inc({ source }, numAccepted);
  }

  /** @param bytes of the live engine's draft model; null: there is none */
  setBytes(bytes: DraftBytes | null): void {
    for (const [kind, count] of Object.entries(bytes ?? {})) this.#recorders.bytes.set({ kind }, count);
  }
}
