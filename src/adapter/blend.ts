/**
 * A blend of adapters: the weighted sum Σ wᵢ·ΔWᵢ x of their updates, as ordinary adapters whose updates add up to it.
 * If Mo-SARA updates of a layer have the same v, their λ are added. Otherwise each is a term of its own. SARA and LoRA
 * updates are put side by side, so their ranks add up. The result is exact, except for rounding to float32. Pure.
 */
// Loops bound the indices, hence `!`.
import { hostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import type { Adapter, AdapterTarget } from "./adapter.ts";
import { deltaFactors } from "./merge.ts";

/** An adapter of a blend, and the weight of its update. */
export interface BlendMember {
  readonly adapter: Adapter;
  readonly weight: number;
}

/** Adapters whose updates add up to the blend's. */
export interface BlendParts {
  /** Mo-SARA with several heads; null: no member has several. */
  readonly routed: Adapter | null;
  /** Mo-SARA with one head. If `routed` and the first of these have the same target, they have the same v. */
  readonly single: readonly Adapter[];
  /** In LoRA's form. */
  readonly lowRank: Adapter | null;
}

/** One member's part in one layer. */
interface Share extends BlendMember {
  readonly target: AdapterTarget;
}

/** The members' ranks of SARA and LoRA, added up for each target. */
export function addedRanks(members: readonly BlendMember[]): ReadonlyMap<string, readonly number[]> {
  const ranks = new Map<string, number[]>();
  for (const { adapter } of members) {
    if (adapter.method === "mo-sara") continue;
    for (const { name, k } of adapter.targets) ranks.set(name, [...(ranks.get(name) ?? []), k]);
  }
  return ranks;
}

/** @param members fit one base; at most one has several heads (`assertBlendable`) */
export function blendAdapters(members: readonly BlendMember[]): BlendParts {
  const routed: AdapterTarget[] = [];
  const single: AdapterTarget[][] = [];
  const lowRank: AdapterTarget[] = [];
  for (const name of new Set(members.flatMap(({ adapter }) => adapter.targets.map((target) => target.name)))) {
    const shares = members.flatMap((member): Share[] => {
      const target = member.adapter.targets.find((one) => one.name === name);
      return target ? [{ ...member, target }] : [];
    });
    const heads = shares.find(({ adapter }) => adapter.heads > 1);
    if (heads) routed.push(scaledHeads(heads));
    byScale(shares, heads ?? null).forEach((alike, i) => {
      single[i] ??= [];
      if (alike.length > 0) single[i].push(summedGains(alike));
    });
    const others = shares.filter(({ adapter }) => adapter.method !== "mo-sara");
    if (others.length > 0) lowRank.push(joinedFactors(others));
  }
  const several = members.find(({ adapter }) => adapter.heads > 1)?.adapter;
  const plain = { baseId: members[0]?.adapter.baseId ?? "", heads: 1, router: "none", card: {} } as const;
  return {
    routed: several ? { ...several, targets: routed } : null,
    single: single.map((targets) => ({ ...plain, method: "mo-sara", targets })),
    lowRank: lowRank.length > 0 ? { ...plain, method: "lora", targets: lowRank } : null,
  };
}

/**
 * The shares with one head, in a list for each v. If `heads` is given, the first list is for the v of `heads` and may
 * be empty.
 */
function byScale(shares: readonly Share[], heads: Share | null): readonly (readonly Share[])[] {
  const lists: Share[][] = heads ? [[]] : [];
  for (const share of shares) {
    if (share.adapter.method !== "mo-sara" || share.adapter.heads > 1) continue;
    const own = lists.find(([first], i) => hasScaleOf(share, first ?? (i === 0 ? heads : null)));
    if (own) own.push(share);
    else lists.push([share]);
  }
  return lists;
}

function hasScaleOf(one: Share, other: Share | null): boolean {
  if (other === null) return false;
  const [a, b] = [values(one.target, "v"), values(other.target, "v")];
  return a.every((value, i) => value === b[i]);
}

/** w·Σ gᵢλᵢ: the gates stay as they are. */
function scaledHeads({ target, weight }: Share): AdapterTarget {
  const lambda = values(target, "lambda").map((value) => weight * value);
  const shape = target.tensors["lambda"]!.shape; // `values` has found it
  return { ...target, tensors: { ...target.tensors, lambda: hostTensor("float32", shape, lambda) } };
}

/** Σ wᵢλᵢ of shares with the same v. A share with fewer directions adds 0 in the others. */
function summedGains(shares: readonly Share[]): AdapterTarget {
  const longest = shares.reduce((most, share) => (share.target.k > most.target.k ? share : most)).target;
  const sum = new Float64Array(longest.k);
  for (const { target, weight } of shares)
    values(target, "lambda").forEach((value, i) => {
      sum[i]! += weight * value;
    });
  const lambda = hostTensor("float32", [1, longest.k], Float32Array.from(sum));
  return { ...longest, tensors: { lambda, v: hostTensor("float32", [longest.dOut], values(longest, "v")) } };
}

/** Σ wᵢ·leftᵢ·rightᵢ of SARA and LoRA as one product, with the ranks side by side. */
function joinedFactors(shares: readonly Share[]): AdapterTarget {
  const { name, dIn, dOut } = shares[0]!.target; // there is at least one
  const rank = shares.reduce((sum, { target }) => sum + target.k, 0);
  const down = new Float32Array(rank * dIn);
  const up = new Float32Array(dOut * rank);
  let at = 0;
  for (const { adapter, target, weight } of shares) {
    const { left, right, k } = deltaFactors(adapter, target, null);
    down.set(right, at * dIn);
    for (let row = 0; row < dOut; row++)
      for (let i = 0; i < k; i++) up[row * rank + at + i] = weight * left[row * k + i]!;
    at += k;
  }
  const tensors = { lora_A: hostTensor("float32", [rank, dIn], down), lora_B: hostTensor("float32", [dOut, rank], up) };
  return { name, dIn, dOut, k: rank, scale: 1, tensors };
}

function values(target: AdapterTarget, name: string): Float32Array {
  const tensor = target.tensors[name];
  if (!tensor) throw new Error(`internal: ${target.name} has no ${name}`);
  return toFloat32(tensor);
}
