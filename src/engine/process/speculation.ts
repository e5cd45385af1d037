/**
 * Speculation: the model computes several probable tokens of one answer in one run, like a chunk of a prompt. Each
 * token is then chosen as in a step of its own, from the row before it. The run ends at the first token that is chosen
 * differently. A draft has the tokens of a text that a grammar forces, or tokens that are repeated from the prompt or
 * the answer (`prompt-lookup.ts`). Where neither is worth a run, a smaller model may guess (`draft-runner.ts`).
 */
import type { AnswerPlace, DraftModel, ModelRunner } from "../contracts.ts";
import { type LogitRow, type LogitRows, type RowNeed, WHOLE } from "../sampling/logit-rows.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import type { Draft, Sequence } from "../scheduling/sequence.ts";
import type { StepFacts } from "../step-facts.ts";
import type { TokenChooser } from "./token-chooser.ts";
// Indices are bounded by the number of drafted tokens, hence `!`.

/** Longest wait for the masks after drafted tokens. If they are late, the run is repeated. */
const MAX_WAIT_MS = 2000;

export interface SpeculationPlan {
  readonly phase: "speculate";
  readonly sequence: Sequence;
  readonly draft: Draft;
}

/** The tokens that were drafted, and those of them that were chosen. */
export type DraftOutcome = Pick<StepFacts, "numDrafted" | "numAccepted" | "draftSource" | "draftSeconds">;

export const NO_DRAFT: DraftOutcome = { numDrafted: 0, numAccepted: 0, draftSource: "text", draftSeconds: 0 };

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
      const draft = sequence?.draft() ?? null;
      if (sequence !== null && draft !== null) return { phase: "speculate", sequence, draft };
    }
    this.#served.clear();
    return null;
  }

  /** @param need what the sequence's choice reads of its row */
  async run({ sequence, draft }: SpeculationPlan, need: RowNeed): Promise<DraftOutcome> {
    this.#noteServed(sequence.id); // before the run, so that prompts make progress even if runs keep failing
    const startedAt = performance.now();
    const ids = draft.source === "text" ? draft.ids : await this.#draftModel().guess(sequence, draft.count);
    const draftSource = draft.source;
    const draftSeconds = draftSource === "text" ? 0 : (performance.now() - startedAt) / 1000;
    // The draft model still reads the text. The answer continues when it has guessed, so that the answer's division
    // into runs does not depend on other rows.
    if (ids === null) return { ...NO_DRAFT, draftSource, draftSeconds };
    const numAccepted = await this.#check(sequence, ids, need);
    if (numAccepted === null) return { ...NO_DRAFT, draftSource, draftSeconds };
    sequence.noteDraft(ids.length, numAccepted);
    this.#scheduler.noteDrafted(sequence, numAccepted + 1);
    return { numDrafted: ids.length, numAccepted, draftSource, draftSeconds };
  }

  #draftModel(): DraftModel {
    const { draftModel } = this.#runner;
    if (!draftModel) throw new Error("internal: a sequence wants guesses of a draft model, and there is none");
    return draftModel;
  }

  /**
   * Runs the drafted tokens and chooses tokens until one differs.
   * @returns the number of drafted tokens that were chosen; null: nothing was chosen, and the run is repeated
   */
  async #check(sequence: Sequence, draft: readonly number[], need: RowNeed): Promise<number | null> {
    const { id, adapter, grammar } = sequence;
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
    if (grammar !== null && places === null) return null;
    for (let at = 0; at <= draft.length; at++) {
      await this.#choose(sequence, places?.[at] ?? null, { logits, rows, at });
      if (this.#scheduler.get(id) === null || sequence.lastTokenId !== draft[at]) return at;
    }
    return draft.length;
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
}
