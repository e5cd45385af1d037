/**
 * Chooses a sequence's next token from its row of logits and reports it. If it is the last token, the sequence ends. An
 * error ends this sequence alone. Knows nothing of how the rows were computed.
 */
import type { AnswerPlace, BoundGrammar, TokenMask } from "../contracts.ts";
import type { LogitRow, WholeRow } from "../sampling/logit-rows.ts";
import { tokenLogprob } from "../sampling/logprobs.ts";
import { maskedRow } from "../sampling/masked-row.ts";
import { chooseToken, createSamplerScratch, type SamplerScratch } from "../sampling/sampler.ts";
import type { Sequence } from "../scheduling/sequence.ts";
import type { Reporter } from "./reporter.ts";

export class TokenChooser {
  readonly #reporter: Reporter;
  readonly scratch: SamplerScratch;
  /** The time until which choices wait for masks. */
  #maskDeadlineMs = 0;

  constructor(reporter: Reporter, vocabSize: number) {
    this.#reporter = reporter;
    this.scratch = createSamplerScratch(vocabSize);
  }

  /** Lets the next choices wait for their masks, for at most this time together. */
  startWait(maxMs: number): void {
    this.#maskDeadlineMs = performance.now() + maxMs;
  }

  /** Chooses a sequence's next token. @returns false when more of its row is needed */
  tryChoose(sequence: Sequence, row: LogitRow): boolean {
    try {
      if (sequence.grammar === null) return isDrafted(sequence) || this.#choose(sequence, row);
      if (row.kind !== "whole") throw new Error("internal: the row of an answer with a grammar did not come whole");
      const mask = this.#maskOf(sequence, sequence.grammar);
      // The next step computes the same logits again, and its token is chosen then. With the mask, the draft is known
      // too.
      if (mask === null || isDrafted(sequence)) return true;
      // If the news of a complete answer comes too late to skip this step, the answer is still the same: it has no end
      // token.
      if (sequence.grammar.mustEnd(0)) this.#reporter.finish(sequence, "stop");
      else this.chooseAt(sequence, row, mask);
    } catch (error) {
      this.#reporter.fail(sequence, error);
    }
    return true;
  }

  /** Chooses the next token of a sequence without a grammar. @returns false when more of its row is needed */
  chooseFree(sequence: Sequence, row: LogitRow): boolean {
    return this.#choose(sequence, row);
  }

  /** Chooses the next token of a sequence with a grammar. @throws {AppError} where no token can be chosen */
  chooseAt(sequence: Sequence, row: WholeRow, place: TokenMask | AnswerPlace): void {
    this.#choose(sequence, maskedRow(row, place, sequence.spec.stopIds, this.scratch.masked));
  }

  /** The ids that a grammar allows; null if they are not known in time, and waiting would delay other rows. */
  #maskOf(sequence: Sequence, grammar: BoundGrammar): TokenMask | null {
    const mask = grammar.mask(Math.max(0, this.#maskDeadlineMs - performance.now()));
    if (mask !== null || sequence.numOutputTokens > 0) return mask;
    throw new Error("internal: a sequence began before its grammar was bound");
  }

  #choose(sequence: Sequence, row: LogitRow): boolean {
    const { id, spec } = sequence;
    const tokenId = chooseToken(row, sequence.sampling, sequence.maskedIds(), this.scratch);
    if (tokenId === null) return false;
    const { numLogprobs } = spec;
    const logprob = numLogprobs === null ? null : tokenLogprob(row, tokenId, numLogprobs, this.scratch);
    this.#reporter.report.sampled.push({ id, tokenId, logprob });
    const reason = sequence.append(tokenId);
    if (reason !== null) this.#reporter.finish(sequence, reason);
    return true;
  }
}

/**
 * Whether the row's next run computes the same logits again, with a draft. A row with a draft always has such a run, so
 * that it has the same bits in every batch.
 */
function isDrafted(sequence: Sequence): boolean {
  return sequence.draft() !== null;
}
