/**
 * Scores of the next token as a step leaves them: the model's rows, of which each request reads as little as it can. Where they come from is
 * `logit-reader.ts`'s. Types and two needs.
 */

/** A row on the host. */
export interface WholeRow {
  readonly kind: "whole";
  /** float32 [V]; sampling changes it for a while. */
  readonly logits: Float32Array;
  /** The greatest logit of every `blockSize` logits; null where nobody has worked it out, or where a logit is not a number. */
  readonly maxima: Float32Array | null;
  readonly blockSize: number;
}

/** The best of a row, best first, lower id first among equals; none where a logit is not finite and the row is still to be asked for. */
export interface TopRow {
  readonly kind: "top";
  readonly ids: Int32Array;
  /** Of no meaning where `sums` is null. */
  readonly logits: Float32Array;
  /** Of the whole row: Σ exp(logit − greatest logit), and the same of the logits divided by the temperature; null: only the best is known. */
  readonly sums: { readonly unit: number; readonly weights: number } | null;
}

export type LogitRow = WholeRow | TopRow;

/** What a request reads of its row. */
export interface RowNeed {
  /** Candidates, at most `MAX_CANDIDATES`; 1: the best alone; Infinity: the whole row. */
  readonly numTop: number;
  /** What `sums.weights` is taken at. */
  readonly temperature: number;
}

/** The whole row. */
export const WHOLE: RowNeed = { numTop: Infinity, temperature: 1 };
/** The likeliest token alone. */
export const BEST: RowNeed = { numTop: 1, temperature: 1 };

/** Rows of one step, valid until the runner's next call. */
export interface LogitRows {
  readonly numRows: number;
  /**
   * Rows as the sampler reads them, at least as much of each as it needs.
   * @param needs one a row, within what the step was told, or of a row whose `TopRow` did not suffice; null: nothing, for now.
   */
  read(needs: readonly (RowNeed | null)[]): Promise<readonly (LogitRow | null)[]>;
  /** Every row whole: float32 [numRows, V]. */
  all(): Promise<Float32Array>;
}
