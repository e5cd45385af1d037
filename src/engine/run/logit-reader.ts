/**
 * How rows of logits get from a session to whoever samples. Two kinds: to the host come the best token of every row and those rows that are
 * wanted whole (`host-logits.ts`); of rows that stay on a device a few candidates are brought over, and the whole row only where they do not
 * suffice (`device-logits.ts`). Types only.
 */
import type { RuntimeTensor } from "../../runtime/ort.ts";
import type { LogitRows, RowNeed } from "../sampling/logit-rows.ts";

/** For all steps of one runner. */
export interface LogitReader {
  /** @param needs one for each row that will be read: the first rows of the run @param numRows all rows, with those that pad it */
  view(needs: readonly RowNeed[], numRows: number): LogitView | Promise<LogitView>;
}

/** What a run feeds and is asked for, so that its logits can be read. */
export interface LogitView {
  readonly feeds: Record<string, RuntimeTensor>;
  readonly fetches: Record<string, RuntimeTensor | null>;
  /** As many rows as there were needs. */
  rowsOf(results: Record<string, RuntimeTensor>): LogitRows;
}
