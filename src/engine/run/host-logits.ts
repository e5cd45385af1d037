/**
 * Rows of logits on the host. Where the serving graph reads logits itself (`device-graph/read-logits.ts`), only the
 * best token of every row is fetched. A whole row is fetched only on request, since every fetched byte is copied.
 */
import { BEST_IDS, IS_WHOLE, ROW_SUMS, blockMaximaPort, logitsPort, wholeLogitsPort } from "../../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { BLOCK_SIZE } from "../sampling/blocks.ts";
import type { LogitReader, LogitView } from "./logit-reader.ts";
import type { LogitRow, LogitRows, RowNeed, WholeRow } from "../sampling/logit-rows.ts";
// Indices are bounded by their loops, hence `!`.

// Only names are needed, so the sizes are arbitrary.
const MAXIMA = blockMaximaPort(0).name;
const WHOLE_LOGITS = wholeLogitsPort(0).name;
const LOGITS = logitsPort(0).name;

/** For a serving graph that reads its logits itself. */
export const hostReader = (vocabSize: number): LogitReader => ({
  view: (needs, numRows) => viewOf(needs, numRows, vocabSize),
});

/** For a serving graph that returns its logits. All rows are fetched whole, and the sampler computes the maxima. */
export const wholeRowReader = (vocabSize: number): LogitReader => ({
  view: (needs) => ({
    feeds: {},
    fetches: { [LOGITS]: null },
    rowsOf: (results) => new WholeRows(results[LOGITS]!.data as Float32Array, needs.length, vocabSize), // asked for
  }),
});

class WholeRows implements LogitRows {
  readonly numRows: number;
  readonly #logits: Float32Array;
  readonly #vocabSize: number;

  constructor(logits: Float32Array, numRows: number, vocabSize: number) {
    this.numRows = numRows;
    this.#logits = logits;
    this.#vocabSize = vocabSize;
  }

  async read(needs: readonly (RowNeed | null)[]): Promise<readonly (LogitRow | null)[]> {
    const rowOf = (row: number): Float32Array =>
      this.#logits.subarray(row * this.#vocabSize, (row + 1) * this.#vocabSize);
    return needs.map((need, row) => need && { kind: "whole", logits: rowOf(row), maxima: null, blockSize: BLOCK_SIZE });
  }

  async all(): Promise<Float32Array> {
    return this.#logits.subarray(0, this.numRows * this.#vocabSize);
  }
}

function viewOf(needs: readonly RowNeed[], numRows: number, vocabSize: number): LogitView {
  const isWhole = Uint8Array.from({ length: numRows }, (_, row) => Number((needs[row]?.numTop ?? 0) > 1));
  // Maxima are useful for whole rows only. The maxima of a row with a value that is not a number are not used.
  const names = [BEST_IDS.name, ROW_SUMS.name, WHOLE_LOGITS, ...(isWhole.includes(1) ? [MAXIMA] : [])];
  return {
    feeds: { [IS_WHOLE.name]: runtimeTensor("bool", isWhole, [numRows]) },
    fetches: needs.length === 0 ? {} : Object.fromEntries(names.map((name) => [name, null])),
    rowsOf: (results) => new ReadRows(results, isWhole.subarray(0, needs.length), vocabSize),
  };
}

class ReadRows implements LogitRows {
  readonly numRows: number;
  readonly #results: Record<string, RuntimeTensor>;
  readonly #vocabSize: number;
  /** For each row: its index among the rows that were fetched whole; −1: it was not. */
  readonly #places: readonly number[];

  /** @param isWhole for each row: not 0 where the whole row was requested */
  constructor(results: Record<string, RuntimeTensor>, isWhole: Uint8Array, vocabSize: number) {
    this.numRows = isWhole.length;
    this.#results = results;
    this.#vocabSize = vocabSize;
    let numWhole = 0;
    this.#places = Array.from(isWhole, (wanted, row) => (wanted || !this.#isFinite(row) ? numWhole++ : -1));
  }

  async read(needs: readonly (RowNeed | null)[]): Promise<readonly (LogitRow | null)[]> {
    return needs.map((need, row) => need && this.#rowOf(row, need));
  }

  async all(): Promise<Float32Array> {
    if (this.#places.includes(-1)) throw new Error("internal: rows of logits that were not asked for");
    return this.numRows === 0 ? new Float32Array(0) : this.#logits().subarray(0, this.numRows * this.#vocabSize);
  }

  #rowOf(row: number, need: RowNeed): LogitRow {
    const place = this.#places[row]!;
    if (place >= 0) return this.#wholeRow(row, place);
    // A best token always suffices for a request that needs no more (`needOf`), so the whole row is never requested
    // later.
    if (need.numTop > 1) throw new Error("internal: a row of logits that was not asked for");
    const id = (this.#data(BEST_IDS.name) as BigInt64Array)[row]!;
    return { kind: "top", ids: Int32Array.of(Number(id)), logits: new Float32Array(1), sums: null };
  }

  #wholeRow(row: number, place: number): WholeRow {
    const logits = this.#logits().subarray(place * this.#vocabSize, (place + 1) * this.#vocabSize);
    const maxima = this.#results[MAXIMA];
    const numBlocks = maxima?.dims[1] ?? 1;
    // A value that is not a number must be searched for one by one. A single block gives the sampler no information.
    if (!maxima || numBlocks === 1 || !this.#isFinite(row))
      return { kind: "whole", logits, maxima: null, blockSize: BLOCK_SIZE };
    const blocks = (maxima.data as Float32Array).subarray(row * numBlocks, (row + 1) * numBlocks);
    return { kind: "whole", logits, maxima: blocks, blockSize: this.#vocabSize / numBlocks };
  }

  #isFinite(row: number): boolean {
    return Number.isFinite((this.#data(ROW_SUMS.name) as Float32Array)[row]);
  }

  #logits(): Float32Array {
    return this.#data(WHOLE_LOGITS) as Float32Array;
  }

  #data(name: string): RuntimeTensor["data"] {
    return this.#results[name]!.data; // asked for
  }
}
