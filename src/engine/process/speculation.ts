/**
 * Speculation: the model computes several probable tokens of one answer in one run, like a chunk of a prompt. Each
 * token is then chosen as in a step of its own, from the row before it. The run ends at the first token that is chosen
 * differently. A draft has the tokens of a text that a grammar forces, or tokens that are repeated from the prompt or
 * the answer (`prompt-lookup.ts`).
 */
import type { AnswerPlace, ModelRunner } from "../contracts.ts";
import { type LogitRow, type LogitRows, type RowNeed, WHOLE } from "../sampling/logit-rows.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import type { Sequence } from "../scheduling/sequence.ts";
import type { TokenChooser } from "./token-chooser.ts";
// Indices are bounded by the number of drafted tokens, hence `!`.

/** Longest wait for the masks after drafted tokens. If they are late, the run is repeated. */
const MAX_WAIT_MS = 2000;

export interface SpeculationPlan {
  readonly phase: "speculate";
  readonly sequence: Sequence;
  /** At least one. */
  readonly draft: readonly number[];
}

/** Number of tokens that were drafted, and number of these that were chosen. */
export interface DraftOutcome {
  readonly numDrafted: number;
  readonly numAccepted: number;
}

export const NO_DRAFT: DraftOutcome = { numDrafted: 0, numAccepted: 0 };

export class Speculation {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #chooser: TokenChooser;
  /** Rows that have had a run since the last decode step. */
  readonly #served = new Set<number>();

  constructor(runner: ModelRunner, scheduler: Scheduler, chooser: TokenChooser) {
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#chooser = chooser;
  }

  /**
   * The next run that precedes a decode step; null: the step is due. A row has at most one run between two decode
   * steps, so that rows without a draft do not wait for long.
   */
  next(): SpeculationPlan | null {
    for (const id of this.#runner.kv.decodingIds()) {
      const sequence = this.#served.has(id) ? null : this.#scheduler.get(id);
      const draft = sequence?.draft() ?? [];
      if (sequence !== null && draft.length > 0) return { phase: "speculate", sequence, draft };
    }
    this.#served.clear();
    return null;
  }

  /** @param need what the sequence's choice reads of its row */
  async run({ sequence, draft }: SpeculationPlan, need: RowNeed): Promise<DraftOutcome> {
    const { id, adapter, grammar } = sequence;
    this.#noteServed(id); // before the run, so that prompts make progress even if runs keep failing
    const logits = await this.#runner.prefill({
      id,
      past: sequence.numCachedTokens,
      tokenIds: Int32Array.of(sequence.lastTokenId, ...draft),
      adapter,
      logitPositions: [...draft.keys(), draft.length],
      need,
    });
    const rows = await logits.read(Array.from({ length: logits.numRows }, () => need));
    const places = grammar === null ? null : grammar.placesAfter(draft.length, MAX_WAIT_MS);
    if (grammar !== null && places === null) return NO_DRAFT; // nothing was chosen, so the run is repeated
    for (let at = 0; at <= draft.length; at++) {
      await this.#choose(sequence, places?.[at] ?? null, { logits, rows, at });
      const isOver = this.#scheduler.get(id) === null || sequence.lastTokenId !== draft[at];
      if (isOver) return this.#outcome(sequence, draft.length, at);
    }
    return this.#outcome(sequence, draft.length, draft.length);
  }

  /** Once every decoding row has had a run, no decode step is needed. */
  #noteServed(id: number): void {
    this.#served.add(id);
    if (!this.#runner.kv.decodingIds().every((row) => this.#served.has(row))) return;
    this.#served.clear();
    this.#scheduler.noteRowsServed();
  }

  /** @param place what the grammar allows; null for a free answer */
  async #choose(
    sequence: Sequence,
    place: AnswerPlace | null,
    { logits, rows, at }: { logits: LogitRows; rows: readonly (LogitRow | null)[]; at: number },
  ): Promise<void> {
    const row = rows[at]!; // every row was asked for
    if (place !== null) {
      if (row.kind !== "whole") throw new Error("internal: the row of a drafted token did not come whole");
      if (!place.mustEnd) this.#chooser.chooseAt(sequence, row, place); // a complete answer ends before the next step
      return;
    }
    if (this.#chooser.chooseFree(sequence, row)) return;
    const whole = await logits.read(rows.map((_, i) => (i === at ? WHOLE : null)));
    this.#chooser.chooseFree(sequence, whole[at]!);
  }

  #outcome(sequence: Sequence, numDrafted: number, numAccepted: number): DraftOutcome {
    sequence.noteDraft(numDrafted, numAccepted);
    this.#scheduler.noteDrafted(sequence, numAccepted + 1);
    return { numDrafted, numAccepted };
  }
}
