/**
 * The adapter inputs of a step: one row of numbers a sequence. They are written only when the composition of the batch
 * changes. A prefill has one adapter, and its own arrays are fed without a copy, unless it is a blend of several terms.
 * A decode batch has one buffer for each port. Its rows have as many terms as the row with the most, padded with zeros.
 * A step feeds no numbers of a kind that none of its rows has: the graph's switches skip this kind.
 */
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import {
  FIRST_TERM,
  HAS_MO_SARA,
  HAS_ROUTERS,
  HEAD_MASK,
  groupPorts,
  headsPort,
  routersPort,
} from "../../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { type AdapterRow, type AdapterTerm, zeroRow } from "./adapter-row.ts";
import { rowBucket } from "../kv/kv-cache.ts";
import { LowRankFeeds } from "./low-rank-feeds.ts";
import type { Feeds, StepFeeds } from "./step-feeds.ts";

const flag = (value: boolean): RuntimeTensor => runtimeTensor("bool", Uint8Array.of(value ? 1 : 0), []);

export class AdapterFeeds implements StepFeeds {
  readonly #layout: AdapterLayout;
  /** For each group, the names of its ports and its sizes. `#gains` and `#scales` hold the batch's λ and v. */
  readonly #groups: readonly { gainsPort: string; scalePort: string; k: number; dOut: number }[];
  #gains: Float32Array[] = [];
  #scales: Float32Array[] = [];
  #capacity = 0;
  /** Terms of each row of the buffers. */
  #numTerms = 1;
  /** The adapter whose numbers each row of the buffers holds; null: zeros. */
  #held: (AdapterRow | null)[] = [];
  #lastRows: readonly (AdapterRow | null)[] | null = null;
  #lastFeeds: Feeds = {};
  readonly #zeroRow: AdapterRow;
  readonly #lowRank: LowRankFeeds;

  constructor(layout: AdapterLayout) {
    this.#layout = layout;
    this.#groups = layout.groups.map((one) => {
      const ports = groupPorts(one);
      return { gainsPort: ports.gains.name, scalePort: ports.scale.name, k: one.k, dOut: one.group.dOut };
    });
    this.#zeroRow = zeroRow(layout);
    this.#lowRank = new LowRankFeeds(layout.lowRank);
  }

  /** Feeds of a step of one sequence. */
  single(adapter: AdapterRow | null): Feeds {
    const terms = termsOf(adapter ?? this.#zeroRow);
    const feeds = { ...this.#common([adapter], terms.length), ...this.#lowRank.single(adapter) };
    if (!hasMoSara([adapter])) return feeds;
    this.#groups.forEach(({ gainsPort, scalePort, k, dOut }, i) => {
      const gains = joined(terms.map((term) => term.gains[i]!)); // one array a group
      const scales = joined(terms.map((term) => term.scales[i]!));
      feeds[gainsPort] = runtimeTensor("float32", gains, [terms.length, 1, k]);
      feeds[scalePort] = runtimeTensor("float32", scales, [terms.length, 1, dOut]);
    });
    return feeds;
  }

  /** Feeds of a decode step, one adapter (or none) a row. The same rows give the same tensors, unchanged. */
  batch(rows: readonly (AdapterRow | null)[]): Feeds {
    const isSame = this.#lastRows?.length === rows.length && rows.every((row, i) => row === this.#lastRows?.[i]);
    if (isSame) return this.#lastFeeds;
    const feeds = this.#changed(rows);
    this.#lastRows = [...rows];
    this.#lastFeeds = feeds;
    return feeds;
  }

  #changed(rows: readonly (AdapterRow | null)[]): Feeds {
    const numTerms = rows.reduce((most, row) => Math.max(most, 1 + (row?.terms.length ?? 0)), 1);
    const feeds = { ...this.#common(rows, numTerms), ...this.#lowRank.batch(rows) };
    if (!hasMoSara(rows)) return feeds;
    this.#ensure(rows.length, numTerms);
    rows.forEach((row, at) => {
      if (this.#held[at] !== row) this.#write(at, row);
    });
    const firstRows = (buffer: Float32Array, width: number) =>
      runtimeTensor("float32", buffer.subarray(0, rows.length * numTerms * width), [numTerms, rows.length, width]);
    this.#groups.forEach(({ gainsPort, scalePort, k, dOut }, i) => {
      feeds[gainsPort] = firstRows(this.#gains[i]!, k); // one buffer a group
      feeds[scalePort] = firstRows(this.#scales[i]!, dOut);
    });
    return feeds;
  }

  #ensure(numRows: number, numTerms: number): void {
    // One term follows another in the buffers. With several terms, there is no room for further rows between them.
    const fits = numTerms === 1 ? numRows <= this.#capacity : numRows === this.#capacity;
    if (fits && numTerms === this.#numTerms) return;
    const capacity = numTerms === 1 ? rowBucket(numRows) : numRows; // a batch that grows row by row is rewritten seldom
    this.#capacity = capacity;
    this.#numTerms = numTerms;
    this.#gains = this.#groups.map((group) => new Float32Array(numTerms * capacity * group.k));
    this.#scales = this.#groups.map((group) => new Float32Array(numTerms * capacity * group.dOut));
    this.#held = Array.from({ length: capacity }, () => null);
  }

  #write(at: number, adapter: AdapterRow | null): void {
    const row = adapter ?? this.#zeroRow;
    const write = (buffer: Float32Array, parts: readonly Float32Array[], width: number): void => {
      for (let term = 0; term < this.#numTerms; term++) {
        const from = (term * this.#capacity + at) * width;
        const part = parts[term];
        if (part) buffer.set(part, from);
        else buffer.fill(0, from, from + width);
      }
    };
    const terms = termsOf(row);
    this.#groups.forEach(({ k, dOut }, i) => {
      write(
        this.#gains[i]!, // one array a group
        terms.map((term) => term.gains[i]!),
        k,
      );
      write(
        this.#scales[i]!,
        terms.map((term) => term.scales[i]!),
        dOut,
      );
    });
    this.#held[at] = adapter;
  }

  /**
   * The switches. With routed rows, also the first term, and the heads and routers of all rows, padded to the greatest
   * number of heads. A row without heads has zeros.
   */
  #common(rows: readonly (AdapterRow | null)[], numTerms: number): Feeds {
    const { totalK } = this.#layout;
    const n = rows.reduce((most, row) => Math.max(most, row?.routed?.numHeads ?? 0), 0);
    const feeds = { [HAS_MO_SARA.name]: flag(hasMoSara(rows)), [HAS_ROUTERS.name]: flag(n > 0) };
    if (n === 0) return feeds;
    const numRows = rows.length;
    const heads = new Float32Array(numRows * n * totalK);
    const routers = new Float32Array(numRows * totalK * n);
    const mask = new Float32Array(numRows * n);
    rows.forEach((row, at) => {
      if (!row?.routed) return;
      const own = row.routed.numHeads;
      heads.set(row.routed.heads, at * n * totalK);
      if (own === n) routers.set(row.routed.routers, at * totalK * n);
      else spread(row.routed.routers, own, routers, at * totalK * n, n);
      mask.fill(-Infinity, at * n + own, (at + 1) * n);
    });
    return {
      ...feeds,
      [FIRST_TERM.name]: firstOf(numTerms),
      [headsPort(totalK).name]: runtimeTensor("float32", heads, [numRows, n, totalK]),
      [routersPort(totalK).name]: runtimeTensor("float32", routers, [numRows, totalK, n]),
      [HEAD_MASK.name]: runtimeTensor("float32", mask, [numRows, 1, n]),
    };
  }
}

const hasMoSara = (rows: readonly (AdapterRow | null)[]): boolean => rows.some((row) => row?.hasMoSara === true);

/** Its own λ and v, then the further ones of a blend. */
function termsOf(row: AdapterRow): readonly AdapterTerm[] {
  return row.terms.length === 0 ? [row] : [row, ...row.terms];
}

/** Parts of one length, one after another; a single part as it is. */
function joined(parts: readonly Float32Array[]): Float32Array {
  const [first] = parts;
  if (!first || parts.length === 1) return first ?? new Float32Array(0);
  const whole = new Float32Array(parts.length * first.length);
  parts.forEach((part, i) => whole.set(part, i * first.length));
  return whole;
}

function firstOf(numTerms: number): RuntimeTensor {
  const values = new Float32Array(numTerms);
  values[0] = 1;
  return runtimeTensor("float32", values, [numTerms, 1, 1]);
}

/** Copies rows of `width` values into `target`, from `at` on, as rows of `targetWidth` values. */
function spread(rows: Float32Array, width: number, target: Float32Array, at: number, targetWidth: number): void {
  for (let row = 0; row * width < rows.length; row++)
    for (let i = 0; i < width; i++) target[at + row * targetWidth + i] = rows[row * width + i]!; // bounded by the loops
}
