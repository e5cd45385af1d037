/**
 * Jump ahead: where a grammar allows only one text, the model computes its probable tokens in one run, like a chunk of
 * a prompt. Each token is then chosen as in a step of its own, from the row before it. The jump ends at the first token
 * that the model chooses differently.
 */
import type { ModelRunner } from "../contracts.ts";
import { WHOLE } from "../sampling/logit-rows.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import type { Sequence } from "../scheduling/sequence.ts";
import type { TokenChooser } from "./token-chooser.ts";
// Indices are bounded by the number of forced tokens, hence `!`.

/** Longest wait for the masks after forced tokens. If they are late, the jump is repeated. */
const MAX_WAIT_MS = 2000;

export interface JumpPlan {
  readonly phase: "jump";
  readonly sequence: Sequence;
  /** At least one. */
  readonly forced: readonly number[];
}

/** Number of tokens that were guessed, and number of these that were chosen. */
export interface JumpOutcome {
  readonly numGuessed: number;
  readonly numRight: number;
}

export class Jump {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #chooser: TokenChooser;

  constructor(runner: ModelRunner, scheduler: Scheduler, chooser: TokenChooser) {
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#chooser = chooser;
  }

  /** The next jump of a decoding row; null where none is due. */
  next(): JumpPlan | null {
    for (const id of this.#runner.kv.decodingIds()) {
      const sequence = this.#scheduler.get(id);
      const forced = sequence?.forcedTokens() ?? [];
      if (sequence !== null && forced.length > 0) return { phase: "jump", sequence, forced };
    }
    return null;
  }

  async run({ sequence, forced }: JumpPlan): Promise<JumpOutcome> {
    const { id, adapter, grammar } = sequence;
    const logits = await this.#runner.prefill({
      id,
      past: sequence.numCachedTokens,
      tokenIds: Int32Array.of(sequence.lastTokenId, ...forced),
      adapter,
      logitPositions: [...forced.keys(), forced.length],
      need: WHOLE,
    });
    const rows = await logits.read(Array.from({ length: logits.numRows }, () => WHOLE));
    const places = grammar?.placesAfter(forced.length, MAX_WAIT_MS) ?? null;
    if (places === null) return { numGuessed: 0, numRight: 0 }; // nothing was chosen, so the jump is repeated
    for (const [at, place] of places.entries()) {
      const row = rows[at]!;
      if (row?.kind !== "whole") throw new Error("internal: the row of a forced token did not come whole");
      if (!place.mustEnd) this.#chooser.chooseAt(sequence, row, place); // a complete answer ends before the next step
      const isOver = this.#scheduler.get(id) === null || sequence.lastTokenId !== forced[at];
      if (isOver) return this.#outcome(sequence, forced, at);
    }
    return this.#outcome(sequence, forced, forced.length);
  }

  #outcome(sequence: Sequence, forced: readonly number[], numRight: number): JumpOutcome {
    sequence.noteJump(forced.length, numRight);
    this.#scheduler.noteJumped(sequence, numRight + 1);
    return { numGuessed: forced.length, numRight };
  }
}
