/**
 * The low-rank inputs of a step: down and up matrices of every sequence for every group of linear layers. Within a
 * group they are padded with zeros to one rank. They are written when the composition of the batch changes. A step of
 * one sequence reads the adapter's own matrices where their rank is one of the padded ranks. A step feeds no matrices
 * of parts that no row uses.
 */
import type { LinearGroup } from "../../model/linears.ts";
import { hasLowRankPort, lowRankPorts } from "../../model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import type { AdapterRow, LowRankGroup } from "./adapter-row.ts";
import { rowBucket } from "../kv/kv-cache.ts";

type Feeds = Record<string, RuntimeTensor>;

/** Ranks that matrices are padded to. They are few, so that shapes repeat. */
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
  /** Content of each row; null: zeros. */
  held: (LowRankGroup | null)[];
}

export class LowRankFeeds {
  readonly #groups: GroupBuffers[];
  /** Buffers for single sequences of other ranks than the padded ones. They leave the batch's buffers undisturbed. */
  readonly #singles: GroupBuffers[];
  readonly #noRows: Feeds;

  constructor(groups: readonly LinearGroup[]) {
    this.#groups = groups.map(emptyBuffers);
    this.#singles = groups.map(emptyBuffers);
    this.#noRows = Object.fromEntries(groups.map((group) => [hasLowRankPort(group.part).name, NO]));
  }

  /** Feeds of a step with one sequence. */
  single(row: AdapterRow | null): Feeds {
    const lowRank = row?.lowRank;
    if (!lowRank) return this.#noRows;
    const feeds = { ...this.#noRows };
    for (const [i, buffers] of usedGroups(this.#singles, [row])) {
      const part = lowRank[i] ?? NO_MATRICES;
      const rank = rankBucket(part.rank);
      if (rank !== part.rank) writeRows(buffers, [part], rank);
      const { down, up } = rank === part.rank ? part : buffers;
      setFeeds(feeds, buffers, { rank, numRows: 1, down, up });
    }
    return feeds;
  }

  /** Feeds of a step with several sequences. */
  batch(rows: readonly (AdapterRow | null)[]): Feeds {
    if (!rows.some((row) => row?.lowRank)) return this.#noRows;
    const feeds = { ...this.#noRows };
    for (const [i, buffers] of usedGroups(this.#groups, rows)) {
      const parts = rows.map((row) => row?.lowRank?.[i] ?? null);
      const rank = rankBucket(parts.reduce((most, part) => Math.max(most, part?.rank ?? 0), 0));
      writeRows(buffers, parts, rank);
      setFeeds(feeds, buffers, { rank, numRows: rows.length, down: buffers.down, up: buffers.up });
    }
    return feeds;
  }
}

const NONE = new Float32Array(0);
const NO_MATRICES: LowRankGroup = { rank: 0, down: NONE, up: NONE };

const YES = runtimeTensor("bool", Uint8Array.of(1), []);
const NO = runtimeTensor("bool", Uint8Array.of(0), []);

function emptyBuffers(group: LinearGroup): GroupBuffers {
  const ports = lowRankPorts(group);
  return { group, downPort: ports.down.name, upPort: ports.up.name, rank: 0, down: NONE, up: NONE, held: [] };
}

/** The groups of the parts that any row uses, by index. One switch chooses for a part in all layers. */
function usedGroups(
  groups: readonly GroupBuffers[],
  rows: readonly (AdapterRow | null)[],
): readonly (readonly [number, GroupBuffers])[] {
  const isUsed = (i: number): boolean => rows.some((row) => row?.lowRank?.[i]);
  const parts = new Set(groups.filter((_, i) => isUsed(i)).map(({ group }) => group.part));
  return [...groups.entries()].filter(([, { group }]) => parts.has(group.part));
}

interface StepMatrices {
  readonly rank: number;
  readonly numRows: number;
  readonly down: Float32Array;
  readonly up: Float32Array;
}

/** Sets a group's matrices and the switch of its part. */
function setFeeds(feeds: Feeds, { group, downPort, upPort }: GroupBuffers, step: StepMatrices): void {
  const { rank, numRows, down, up } = step;
  const matrices = (data: Float32Array, shape: readonly [number, number]): RuntimeTensor =>
    runtimeTensor("float32", data.subarray(0, numRows * shape[0] * shape[1]), [numRows, ...shape]);
  feeds[downPort] = matrices(down, [group.dIn, rank]);
  feeds[upPort] = matrices(up, [rank, group.dOut]);
  feeds[hasLowRankPort(group.part).name] = YES;
}

/** Makes the buffers hold `parts` at `rank`. Rows that already contain them are left unchanged. */
function writeRows(buffers: GroupBuffers, parts: readonly (LowRankGroup | null)[], rank: number): void {
  const { dIn, dOut } = buffers.group;
  const isTooSmall = buffers.down.length < parts.length * dIn * rank || buffers.up.length < parts.length * dOut * rank;
  if (rank !== buffers.rank || isTooSmall) {
    const numRows = rowBucket(parts.length); // a batch that grows row by row is not rewritten for each new row
    buffers.rank = rank;
    buffers.down = new Float32Array(numRows * dIn * rank);
    buffers.up = new Float32Array(numRows * rank * dOut);
    buffers.held = [];
  }
  parts.forEach((part, row) => {
    const held = buffers.held[row] ?? null;
    if (held === part) return;
    const down = buffers.down.subarray(row * dIn * rank, (row + 1) * dIn * rank);
    const up = buffers.up.subarray(row * rank * dOut, (row + 1) * rank * dOut);
    if (held && part?.rank !== rank) {
      down.fill(0);
      up.fill(0);
    }
    if (part) writePart(part, rank, down, up, dIn);
    buffers.held[row] = part;
  });
}

/** Copies one sequence's matrices into a row of wider rank. */
function writePart(part: LowRankGroup, rank: number, down: Float32Array, up: Float32Array, dIn: number): void {
  up.set(part.up);
  if (part.rank === rank) return down.set(part.down);
  for (let i = 0; i < dIn; i++) down.set(part.down.subarray(i * part.rank, (i + 1) * part.rank), i * rank);
}
