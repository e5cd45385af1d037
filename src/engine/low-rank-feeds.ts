/**
 * The low-rank inputs of a step: for every group of linear layers, down and up matrices of every sequence, padded with zeros to
 * one rank a group. Written when the composition of the batch changes; a step without low-rank rows feeds empty tensors.
 */
import type { AdapterLayout } from "../model/adapter-layout.ts";
import { hasLowRankPort, lowRankPorts } from "../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../runtime/ort.ts";
import type { AdapterRow, LowRankGroup } from "./adapter-row.ts";

type LinearGroup = AdapterLayout["lowRank"][number];
type Feeds = Record<string, RuntimeTensor>;

/** Ranks that matrices are padded to: few, so that shapes repeat. */
function rankBucket(rank: number): number {
  if (rank === 0) return 0;
  return rank > 64 ? Math.ceil(rank / 64) * 64 : Math.max(8, 2 ** Math.ceil(Math.log2(rank)));
}

interface GroupBuffers {
  readonly group: LinearGroup;
  readonly downPort: string;
  readonly upPort: string;
  /** Rank that the buffers are laid out for. */
  rank: number;
  down: Float32Array;
  up: Float32Array;
  /** What each row holds; null: zeros. */
  held: (LowRankGroup | null)[];
}

export class LowRankFeeds {
  readonly #groups: GroupBuffers[];
  readonly #noRows: Feeds;

  constructor(groups: readonly LinearGroup[]) {
    const none = new Float32Array(0);
    this.#groups = groups.map((group) => {
      const ports = lowRankPorts(group);
      return { group, downPort: ports.down.name, upPort: ports.up.name, rank: 0, down: none, up: none, held: [] };
    });
    this.#noRows = {};
    for (const { group, downPort, upPort } of this.#groups) {
      this.#noRows[hasLowRankPort(group.part).name] = flag(false);
      this.#noRows[downPort] = runtimeTensor("float32", none, [1, group.dIn, 0]);
      this.#noRows[upPort] = runtimeTensor("float32", none, [1, 0, group.dOut]);
    }
  }

  /** Feeds of a step with these sequences. */
  batch(rows: readonly (AdapterRow | null)[]): Feeds {
    if (!rows.some((row) => row?.lowRank)) return this.#noRows;
    const feeds: Feeds = {};
    const usedParts = new Set<string>();
    this.#groups.forEach((buffers, i) => {
      const { group, downPort, upPort } = buffers;
      const parts = rows.map((row) => row?.lowRank?.[i] ?? null);
      const rank = rankBucket(parts.reduce((most, part) => Math.max(most, part?.rank ?? 0), 0));
      writeRows(buffers, parts, rank);
      if (rank > 0) usedParts.add(group.part);
      const [downSize, upSize] = [rows.length * group.dIn * rank, rows.length * rank * group.dOut];
      feeds[downPort] = runtimeTensor("float32", buffers.down.subarray(0, downSize), [rows.length, group.dIn, rank]);
      feeds[upPort] = runtimeTensor("float32", buffers.up.subarray(0, upSize), [rows.length, rank, group.dOut]);
    });
    for (const { group } of this.#groups) feeds[hasLowRankPort(group.part).name] ??= flag(usedParts.has(group.part));
    return feeds;
  }
}

const flag = (value: boolean): RuntimeTensor => runtimeTensor("bool", Uint8Array.of(value ? 1 : 0), []);

/** Makes the buffers hold `parts` at `rank`; rows that hold them already are left alone. */
function writeRows(buffers: GroupBuffers, parts: readonly (LowRankGroup | null)[], rank: number): void {
  const { dIn, dOut } = buffers.group;
  const isTooSmall = buffers.down.length < parts.length * dIn * rank || buffers.up.length < parts.length * dOut * rank;
  if (rank !== buffers.rank || isTooSmall) {
    buffers.rank = rank;
    buffers.down = new Float32Array(parts.length * dIn * rank);
    buffers.up = new Float32Array(parts.length * rank * dOut);
    buffers.held = [];
  }
  parts.forEach((part, row) => {
    const held = buffers.held[row] ?? null;
    if (held === part) return;
    const down = buffers.down.subarray(row * dIn * rank, (row + 1) * dIn * rank);
    const up = buffers.up.subarray(row * rank * dOut, (row + 1) * rank * dOut);
    if (held) {
      down.fill(0);
      up.fill(0);
    }
    if (part) writePart(part, rank, down, up, dIn);
    buffers.held[row] = part;
  });
}

/** One sequence's matrices into a row of wider rank. */
function writePart(part: LowRankGroup, rank: number, down: Float32Array, up: Float32Array, dIn: number): void {
  up.set(part.up);
  for (let i = 0; i < dIn; i++) down.set(part.down.subarray(i * part.rank, (i + 1) * part.rank), i * rank);
}
