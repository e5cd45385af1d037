/**
 * An adapter laid out as rows of the graph's ports (`model/adapter-layout.ts`), for every method. A sequence brings
 * such a row to a batch. Pure; the cache decides how long a row is kept.
 */
import type { Adapter, AdapterTarget } from "../../adapter/adapter.ts";
import { lowRankFactors } from "../../adapter/low-rank.ts";
import { AppError } from "../../errors.ts";
import type { AdapterLayout, TargetPlace } from "../../model/adapter-layout.ts";
import type { LinearGroup } from "../../model/linears.ts";
import { toFloat32 } from "../../tensor/host-tensor.ts";
import { transposeInto } from "../../tensor/transpose.ts";
import type { ReadyAdapter } from "../contracts.ts";

/** One adapter as rows of the ports; arrays by group, in the layout's order. */
export interface AdapterRow extends ReadyAdapter {
  /** Mo-SARA: λ of each group, float32 [k]; zero where routed. */
  readonly gains: readonly Float32Array[];
  /** Mo-SARA: v of each group over its whole output, float32 [dOut]. */
  readonly scales: readonly Float32Array[];
  /** n > 1: λ float32 [n, totalK] and W_gᵀ float32 [totalK, n]. */
  readonly routed: { readonly numHeads: number; readonly heads: Float32Array; readonly routers: Float32Array } | null;
  /**
   * SARA and LoRA: one entry for each group of the layout's `lowRank`; null where the adapter does not change the
   * group.
   */
  readonly lowRank: readonly (LowRankGroup | null)[] | null;
  /** Further λ and v of a blend; each has a product v ⊙ U(λ ⊙ z) of its own. */
  readonly terms: readonly AdapterTerm[];
  /** false: λ, v and heads are zero. */
  readonly hasMoSara: boolean;
  readonly bytes: number;
}

/** λ and v of each group, in the layout's order. */
export type AdapterTerm = Pick<AdapterRow, "gains" | "scales">;

/** The targets of one group as two matrices: down float32 [dIn,rank], up float32 [rank,dOut]. */
export interface LowRankGroup {
  readonly rank: number;
  readonly down: Float32Array;
  readonly up: Float32Array;
}

/**
 * @param adapter fits the base
 * @throws {AppError} not_live above `maxLiveRank`, or where the base takes no live adapters
 */
export function layOutAdapter(
  generation: string,
  adapter: Adapter,
  layout: AdapterLayout,
  maxLiveRank = Infinity,
): AdapterRow {
  if (adapter.method === "mo-sara") return moSaraRow(generation, adapter, layout);
  if (layout.lowRank.length === 0)
    throw new AppError(
      "not_live",
      `The base was built with --targets none and accepts no live adapters. Serve the adapter merged (placement "merged").`,
    );
  const highest = adapter.targets.find((target) => target.k > maxLiveRank);
  if (highest)
    throw new AppError(
      "not_live",
      `${highest.name} has rank ${highest.k}, but a live adapter has at most ${maxLiveRank} (--max-live-rank). Serve the adapter merged (placement "merged").`,
    );
  return lowRankRow(generation, adapter, layout);
}

/** All arrays of a row. Each has memory of its own. */
export function arraysOf({ gains, scales, routed, lowRank, terms }: Omit<AdapterRow, "bytes">): Float32Array[] {
  return [
    ...gains,
    ...scales,
    ...terms.flatMap((term) => [...term.gains, ...term.scales]),
    ...(routed ? [routed.heads, routed.routers] : []),
    ...(lowRank ?? []).flatMap((group) => (group ? [group.down, group.up] : [])),
  ];
}

export function sumOfBytes(arrays: readonly Float32Array[]): number {
  return arrays.reduce((sum, array) => sum + array.byteLength, 0);
}

/** Rows of an adapter without Mo-SARA numbers; the base's row is the same. */
export function zeroRow(layout: AdapterLayout): AdapterRow {
  const gains = layout.groups.map((group) => new Float32Array(group.k));
  const scales = layout.groups.map((group) => new Float32Array(group.group.dOut));
  const bytes = sumOfBytes([...gains, ...scales]);
  return { generation: "", gains, scales, routed: null, lowRank: null, terms: [], hasMoSara: true, bytes };
}

function moSaraRow(generation: string, adapter: Adapter, layout: AdapterLayout): AdapterRow {
  const numHeads = adapter.router === "none" ? 0 : adapter.heads;
  const routed = numHeads
    ? {
        numHeads,
        heads: new Float32Array(numHeads * layout.totalK),
        routers: new Float32Array(layout.totalK * numHeads),
      }
    : null;
  const targets = new Map(adapter.targets.map((target) => [target.name, target]));
  const row = zeroRow(layout);
  layout.groups.forEach((group, i) => {
    for (const place of group.targets) {
      const target = targets.get(place.name);
      if (!target) continue;
      row.scales[i]?.set(tensor(target, "v"), place.scaleAt);
      if (routed) setHeads(routed, target, place, group.headsAt, layout.totalK);
      else row.gains[i]?.set(tensor(target, "lambda"), place.gainsAt);
    }
  });
  const bytes = row.bytes + sumOfBytes(routed ? [routed.heads, routed.routers] : []);
  return { ...row, generation, routed, bytes };
}

function tensor(target: AdapterTarget, name: string): Float32Array {
  const value = target.tensors[name];
  if (!value) throw new Error(`internal: ${target.name} has no ${name}`);
  return toFloat32(value);
}

/**
 * Writes one target's heads and router at its place among all groups. A rank-1 router w₂w₁ᵀ is written out as a full
 * one.
 */
function setHeads(
  routed: NonNullable<AdapterRow["routed"]>,
  target: AdapterTarget,
  place: TargetPlace,
  headsAt: number,
  totalK: number,
): void {
  const { numHeads, heads, routers } = routed;
  const lambda = tensor(target, "lambda");
  const router = fullRouter(target, numHeads);
  const first = headsAt + place.gainsAt;
  for (let head = 0; head < numHeads; head++) {
    heads.set(lambda.subarray(head * target.k, (head + 1) * target.k), head * totalK + first);
    for (let i = 0; i < target.k; i++) routers[(first + i) * numHeads + head] = router[head * target.k + i] ?? 0;
  }
}

/** W_g float32 [n,k]. */
function fullRouter(target: AdapterTarget, numHeads: number): Float32Array {
  if (target.tensors.router_full) return toFloat32(target.tensors.router_full);
  const w1 = tensor(target, "router_w1");
  const w2 = tensor(target, "router_w2");
  const full = new Float32Array(numHeads * target.k);
  for (let head = 0; head < numHeads; head++)
    for (let i = 0; i < target.k; i++) full[head * target.k + i] = (w2[head] ?? 0) * (w1[i] ?? 0);
  return full;
}

function lowRankRow(generation: string, adapter: Adapter, layout: AdapterLayout): AdapterRow {
  const targets = new Map(adapter.targets.map((target) => [target.name, target]));
  const lowRank = layout.lowRank.map((group) => lowRankGroup(adapter, targets, group));
  const row = zeroRow(layout);
  const bytes = row.bytes + sumOfBytes(lowRank.flatMap((part) => (part ? [part.down, part.up] : [])));
  return { ...row, generation, lowRank, hasMoSara: false, bytes };
}

/**
 * The targets of a group as one pair of matrices. The down matrices lie side by side. Each up matrix lies at its own
 * rows, and at its columns of the group's output.
 */
function lowRankGroup(
  { method }: Adapter,
  targets: ReadonlyMap<string, AdapterTarget>,
  group: LinearGroup,
): LowRankGroup | null {
  if (method === "mo-sara") throw new Error("internal: a Mo-SARA adapter has no low-rank rows");
  const rank = group.members.reduce((sum, member) => sum + (targets.get(member.name)?.k ?? 0), 0);
  if (rank === 0) return null;
  const down = new Float32Array(group.dIn * rank);
  const up = new Float32Array(rank * group.dOut);
  let firstRank = 0;
  let firstColumn = 0;
  for (const member of group.members) {
    const target = targets.get(member.name);
    if (target) {
      const factors = lowRankFactors(method, target);
      const { k } = target;
      const [{ dIn, dOut }, ownOut] = [group, member.dOut];
      transposeInto(
        factors.down,
        { rows: k, columns: dIn, stride: dIn },
        { values: down, stride: rank, at: firstRank },
      );
      const at = firstRank * dOut + firstColumn;
      transposeInto(factors.up, { rows: ownOut, columns: k, stride: k }, { values: up, stride: dOut, at });
      firstRank += target.k;
    }
    firstColumn += member.dOut;
  }
  return { rank, down, up };
}
