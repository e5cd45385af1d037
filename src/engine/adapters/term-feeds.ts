/**
 * The inputs for the second and later (λ, v) of each row, which only blends have. All groups lie side by side, and
 * rows with fewer terms are padded with zeros. A step without such rows feeds empty tensors.
 */
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import { HAS_TERMS, termGainsPort, termScalesPort } from "../../model/ports.ts";
import { runtimeTensor } from "../../runtime/ort.ts";
import type { AdapterRow, AdapterTerm } from "./adapter-row.ts";
import type { Feeds } from "./step-feeds.ts";

/**
 * ONNX Runtime (1.30) uses another kernel for the product of a single row on the CPU, with other bits. One term of one
 * row is therefore padded.
 */
const MIN_TERMS = 2;

export class TermFeeds {
  readonly #totalK: number;
  readonly #totalOut: number;
  readonly #none: Feeds;

  constructor({ groups, totalK }: AdapterLayout) {
    this.#totalK = totalK;
    this.#totalOut = groups.reduce((sum, { group }) => sum + group.dOut, 0);
    this.#none = this.#feeds([]);
  }

  /** Feeds of a step with these rows. */
  of(rows: readonly (AdapterRow | null)[]): Feeds {
    return rows.some((row) => (row?.terms.length ?? 0) > 0) ? this.#feeds(rows) : this.#none;
  }

  #feeds(rows: readonly (AdapterRow | null)[]): Feeds {
    const most = rows.reduce((count, row) => Math.max(count, row?.terms.length ?? 0), 0);
    const numTerms = most === 0 ? 0 : Math.max(MIN_TERMS, most);
    const numRows = Math.max(1, rows.length);
    const pack = (width: number, partsOf: (term: AdapterTerm) => readonly Float32Array[]) => {
      const packed = new Float32Array(numRows * numTerms * width);
      rows.forEach((row, i) =>
        row?.terms.forEach((term, j) => {
          let at = (i * numTerms + j) * width;
          for (const part of partsOf(term)) {
            packed.set(part, at);
            at += part.length;
          }
        }),
      );
      return runtimeTensor("float32", packed, [numRows, numTerms, width]);
    };
    return {
      [HAS_TERMS.name]: runtimeTensor("bool", Uint8Array.of(numTerms > 0 ? 1 : 0), []),
      [termGainsPort(this.#totalK).name]: pack(this.#totalK, ({ gains }) => gains),
      [termScalesPort(this.#totalOut).name]: pack(this.#totalOut, ({ scales }) => scales),
    };
  }
}
