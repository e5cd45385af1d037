/**
 * The adapter inputs of a step: one row of numbers a sequence. They are written only when the composition of the batch
 * changes. A prefill has one adapter, and its own arrays are fed without a copy. A decode batch has one buffer for each
 * port.
 */
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import { HAS_MO_SARA, HAS_ROUTERS, HEAD_MASK, groupPorts, headsPort, routersPort } from "../../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { type AdapterRow, zeroRow } from "./adapter-row.ts";
import { rowBucket } from "../kv/kv-cache.ts";
import { LowRankFeeds } from "./low-rank-feeds.ts";
import type { Feeds, StepFeeds } from "./step-feeds.ts";
import { TermFeeds } from "./term-feeds.ts";

const flag = (value: boolean): RuntimeTensor => runtimeTensor("bool", Uint8Array.of(value ? 1 : 0), []);

export class AdapterFeeds implements StepFeeds {
  readonly #layout: AdapterLayout;
  /** For each group, the names of its ports and its sizes. `#gains` and `#scales` hold the batch's λ and v. */
  readonly #groups: readonly { gainsPort: string; scalePort: string; k: number; dOut: number }[];
  #gains: Float32Array[] = [];
  #scales: Float32Array[] = [];
  #capacity = 0;
  /** The adapter whose numbers each row of the buffers holds; null: zeros. */
  #held: (AdapterRow | null)[] = [];
  #lastRows: readonly (AdapterRow | null)[] | null = null;
  #lastFeeds: Feeds = {};
  readonly #zeroRow: AdapterRow;
  readonly #lowRank: LowRankFeeds;
  readonly #terms: TermFeeds;

  constructor(layout: AdapterLayout) {
    this.#layout = layout;
    this.#groups = layout.groups.map((one) => {
      const ports = groupPorts(one);
      return { gainsPort: ports.gains.name, scalePort: ports.scale.name, k: one.k, dOut: one.group.dOut };
    });
    this.#zeroRow = zeroRow(layout);
    this.#lowRank = new LowRankFeeds(layout.lowRank);
    this.#terms = new TermFeeds(layout);
  }

  /** Feeds of a step of one sequence. */
  single(adapter: AdapterRow | null): Feeds {
    const row = adapter ?? this.#zeroRow;
    const feeds = { ...this.#common([adapter]), ...this.#lowRank.single(adapter), ...this.#terms.of([adapter]) };
    this.#groups.forEach(({ gainsPort, scalePort, k, dOut }, i) => {
      feeds[gainsPort] = runtimeTensor("float32", row.gains[i]!, [1, k]); // one array a group
      feeds[scalePort] = runtimeTensor("float32", row.scales[i]!, [1, dOut]);
    });
    return feeds;
  }

  /** Feeds of a decode step, one adapter (or none) a row. The same rows give the same tensors, unchanged. */
  batch(rows: readonly (AdapterRow | null)[]): Feeds {
    const isSame = this.#lastRows?.length === rows.length && rows.every((row, i) => row === this.#lastRows?.[i]);
    if (isSame) return this.#lastFeeds;
    this.#ensure(rows.length);
    rows.forEach((row, at) => {
      if (this.#held[at] !== row) this.#write(at, row);
    });
    const feeds = { ...this.#common(rows), ...this.#lowRank.batch(rows), ...this.#terms.of(rows) };
    this.#groups.forEach(({ gainsPort, scalePort, k, dOut }, i) => {
      feeds[gainsPort] = runtimeTensor("float32", this.#gains[i]!.subarray(0, rows.length * k), [rows.length, k]);
      feeds[scalePort] = runtimeTensor("float32", this.#scales[i]!.subarray(0, rows.length * dOut), [
        rows.length,
        dOut,
      ]);
    });
    this.#lastRows = [...rows];
    this.#lastFeeds = feeds;
    return feeds;
  }

  #ensure(numRows: number): void {
    if (numRows <= this.#capacity) return;
    const capacity = rowBucket(numRows); // a batch that grows row by row is not rewritten for each new row
    this.#capacity = capacity;
    this.#gains = this.#groups.map((group) => new Float32Array(capacity * group.k));
    this.#scales = this.#groups.map((group) => new Float32Array(capacity * group.dOut));
    this.#held = Array.from({ length: capacity }, () => null);
  }

  #write(at: number, adapter: AdapterRow | null): void {
    const row = adapter ?? this.#zeroRow;
    this.#groups.forEach(({ k, dOut }, i) => {
      this.#gains[i]!.set(row.gains[i]!, at * k); // one array a group
      this.#scales[i]!.set(row.scales[i]!, at * dOut);
    });
    this.#held[at] = adapter;
  }

  /**
   * The switches, and the heads and routers of all rows, padded to the greatest number of heads. A row without heads
   * has zeros.
   */
  #common(rows: readonly (AdapterRow | null)[]): Feeds {
    const { totalK } = this.#layout;
    const numHeads = rows.reduce((most, row) => Math.max(most, row?.routed?.numHeads ?? 0), 0);
    const numRows = numHeads > 0 ? rows.length : 1;
    const n = Math.max(1, numHeads);
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
      [HAS_MO_SARA.name]: flag(rows.some((row) => row?.hasMoSara === true)),
      [HAS_ROUTERS.name]: flag(numHeads > 0),
      [headsPort(totalK).name]: runtimeTensor("float32", heads, [numRows, n, totalK]),
      [routersPort(totalK).name]: runtimeTensor("float32", routers, [numRows, totalK, n]),
      [HEAD_MASK.name]: runtimeTensor("float32", mask, [numRows, 1, n]),
    };
  }
}

/** Copies rows of `width` values into `target`, from `at` on, as rows of `targetWidth` values. */
function spread(rows: Float32Array, width: number, target: Float32Array, at: number, targetWidth: number): void {
  for (let row = 0; row * width < rows.length; row++)
    for (let i = 0; i < width; i++) target[at + row * targetWidth + i] = rows[row * width + i]!; // bounded by the loops
}
