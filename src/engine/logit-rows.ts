/**
 * Scores of the next token as a step leaves them: the model's rows, of which each request reads as little as it can. Two implementations:
 * to the host come the rows that are wanted whole, and the best token of the others (`host-logits.ts`); of a device's a few candidates
 * are brought over, and the whole row only where they do not suffice (`device-logits.ts`). Types and two needs.
 */
import type { RuntimeTensor } from "../runtime/ort.ts";

/** A row on the host. */
export interface WholeRow {
  readonly kind: "whole";
  /** float32 [V]; sampling changes it for a while. */
  readonly logits: Float32Array;
  /** The greatest logit of every `blockSize` logits; null where nobody has worked it out, or where a logit is not a number. */
  readonly maxima: Float32Array | null;
  readonly blockSize: number;
}

/** The best of a row, best first, lower id first among equals; none where a logit is not a number. */
export interface TopRow {
  readonly kind: "top";
  readonly ids: Int32Array;
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

/** For all steps of one runner. */
export interface LogitReader extends AsyncDisposable {
  /** @param needs of each row that will be read, at least @param numRows of the run, with those that pad it */
  view(needs: readonly RowNeed[], numRows: number): LogitView | Promise<LogitView>;
}

/** What a run feeds and is asked for, so that its logits can be read. */
export interface LogitView {
  readonly feeds: Record<string, RuntimeTensor>;
  readonly fetches: Record<string, RuntimeTensor | null>;
  /** As many rows as there were needs. */
  rowsOf(results: Record<string, RuntimeTensor>): LogitRows;
}

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
