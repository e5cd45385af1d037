/**
 * Brings rows of logits from a session to the sampler. There are two kinds. `host-logits.ts` fetches the best token of
 * every row, and the rows that are needed whole. `device-logits.ts` leaves the rows on a device. It fetches a few
 * candidates, and the whole row only where these do not suffice. Types only.
 */
import type { RuntimeTensor } from "../../runtime/ort.ts";
import type { LogitRows, RowNeed } from "../sampling/logit-rows.ts";

/** One reader for all steps of a runner. */
export interface LogitReader {
  /**
   * @param needs one for each row that will be read: the first rows of the run @param numRows all rows, including those
   * that pad it
   */
  view(needs: readonly RowNeed[], numRows: number): LogitView | Promise<LogitView>;
}

/** Feeds and outputs of a run that are needed to read its logits. */
export interface LogitView {
  readonly feeds: Record<string, RuntimeTensor>;
  readonly fetches: Record<string, RuntimeTensor | null>;
  /** One row for each need. */
  rowsOf(results: Record<string, RuntimeTensor>): LogitRows;
}
