/**
 * The places of an adapter's numbers in the graph's inputs: the columns of λ, router and v of each target, for each
 * fused group. One row of a group's ports is one sequence's adapter. Pure; shared by the graph builder and the engine.
 */
import type { LinearGroup } from "./linears.ts";

/** A target with its basis. */
export interface Target {
  readonly name: string;
  readonly k: number;
}

export interface TargetPlace {
  readonly name: string;
  readonly k: number;
  readonly dIn: number;
  readonly dOut: number;
  /** First column of the group's λ. */
  readonly gainsAt: number;
  /** First column of the group's output. */
  readonly scaleAt: number;
}

export interface GroupLayout {
  readonly group: LinearGroup;
  readonly targets: readonly TargetPlace[];
  /** Sum of the targets' k. */
  readonly k: number;
  /** First row of this group in the packed heads and routers. */
  readonly headsAt: number;
}

export interface AdapterLayout {
  /** Groups with Mo-SARA targets. */
  readonly groups: readonly GroupLayout[];
  /** Groups that accept low-rank rows: all groups, if the base accepts adapters. */
  readonly lowRank: readonly LinearGroup[];
  /** Sum of all k. */
  readonly totalK: number;
}

/**
 * Lays out the targets group by group. Groups without a target have no Mo-SARA ports but accept low-rank rows.
 * A base without any target has no adapters and accepts neither.
 */
export function adapterLayout(groups: readonly LinearGroup[], targets: readonly Target[]): AdapterLayout {
  const ranks = new Map(targets.map((target) => [target.name, target.k]));
  const laidOut: GroupLayout[] = [];
  let totalK = 0;
  for (const group of groups) {
    const places: TargetPlace[] = [];
    let scaleAt = 0;
    let k = 0;
    for (const member of group.members) {
      const rank = ranks.get(member.name);
      if (rank !== undefined) {
        places.push({ name: member.name, k: rank, dIn: member.dIn, dOut: member.dOut, gainsAt: k, scaleAt });
        k += rank;
      }
      scaleAt += member.dOut;
    }
    if (places.length === 0) continue;
    laidOut.push({ group, targets: places, k, headsAt: totalK });
    totalK += k;
  }
  return { groups: laidOut, lowRank: laidOut.length > 0 ? groups : [], totalK };
}
