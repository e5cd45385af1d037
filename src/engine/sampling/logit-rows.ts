/**
 * Logits of a step, one row a sequence. Each request reads as little of its row as it can. `logit-reader.ts` defines
 * where the rows come from. Types and two constant needs.
 */

/** A row on the host. */
export interface WholeRow {
  readonly kind: "whole";
  /** float32 [V]; sampling changes it temporarily. */
  readonly logits: Float32Array;
  /**
   * The greatest logit of every `blockSize` logits; null where it has not been computed, or where a logit is not a
   * number.
   */
  readonly maxima: Float32Array | null;
  readonly blockSize: number;
}

/**
 * The best logits of a row, best first, lower id first among equals. Empty where a logit is not finite; the whole row
 * must then be requested.
 */
export interface TopRow {
  readonly kind: "top";
  readonly ids: Int32Array;
  /** Has no meaning where `sums` is null. */
  readonly logits: Float32Array;
  /**
   * Of the whole row: Σ exp(logit − greatest logit), and the same sum for the logits divided by the temperature. null:
   * only the best token is known.
   */
  readonly sums: { readonly unit: number; readonly weights: number } | null;
}

export type LogitRow = WholeRow | TopRow;

/** The part of its row that a request reads. */
export interface RowNeed {
  /** Number of candidates, at most `MAX_CANDIDATES`; 1: only the best; Infinity: the whole row. */
  readonly numTop: number;
  /** Temperature for `sums.weights`. */
  readonly temperature: number;
}

/** Reads the whole row. */
export const WHOLE: RowNeed = { numTop: Infinity, temperature: 1 };
/** Reads only the likeliest token. */
export const BEST: RowNeed = { numTop: 1, temperature: 1 };

/** Rows of one step, valid until the runner's next call. */
export interface LogitRows {
  readonly numRows: number;
  /**
   * Returns the rows for the sampler, with at least as much of each row as its need asks for.
   * @param needs one a row, within the needs given to the step, or of a row whose `TopRow` did not suffice; null: this
   * row is not read now.
   */
  read(needs: readonly (RowNeed | null)[]): Promise<readonly (LogitRow | null)[]>;
  /** Every row whole: float32 [numRows, V]. */
  all(): Promise<Float32Array>;
}
