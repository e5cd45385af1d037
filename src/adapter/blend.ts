/**
 * A blend of adapters: the weighted sum Σ wᵢ·ΔWᵢ x of their updates, as ordinary adapters whose updates add up to it. Mo-SARA's updates of a
 * layer add up in λ where their v is the same. Otherwise they are one product of rank k, because they share V:
 * (Σ wᵢ diag(vᵢ) U diag(λᵢ)) Vᵀ. SARA and LoRA add their ranks. Exact but for the rounding to float32. Pure.
 */
// Loops bound the indices, hence `!`.
import { hostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import { transposeInto } from "../tensor/transpose.ts";
import type { Adapter, AdapterTarget } from "./adapter.ts";
import { type MergeBasis, deltaFactors } from "./merge.ts";

/** An adapter of a blend, and the factor of its update. */
export interface BlendMember {
  readonly adapter: Adapter;
  readonly weight: number;
}

/** Adapters whose updates add up to the blend's. On one target, `single` and `routed` have the same v. */
export interface BlendParts {
  /** Mo-SARA with several heads; null: no member has several. */
  readonly routed: Adapter | null;
  /** Mo-SARA with one head. */
  readonly single: Adapter | null;
  /** In LoRA's form. */
  readonly lowRank: Adapter | null;
}

/** One member's part in one layer. */
interface Share extends BlendMember {
  readonly target: AdapterTarget;
}

/** left · right, [dOut,k] and [k,dIn]. */
interface Factors {
  readonly left: Float64Array;
  readonly right: ArrayLike<number>;
  readonly k: number;
}

/** The shares of one layer, by the form in which they are served. */
interface LayerShares {
  readonly name: string;
  readonly routed: Share | null;
  readonly single: readonly Share[];
  readonly lowRank: readonly Share[];
}

/** Ranks of SARA and LoRA that the members add up on each target. Mo-SARA members do not count: together they have the basis's rank. */
export function addedRanks(members: readonly BlendMember[]): ReadonlyMap<string, readonly number[]> {
  const ranks = new Map<string, number[]>();
  for (const { adapter } of members) {
    if (adapter.method === "mo-sara") continue;
    for (const { name, k } of adapter.targets) ranks.set(name, [...(ranks.get(name) ?? []), k]);
  }
  return ranks;
}

/**
 * @param members fit one base; at most one has several heads (`assertBlendable`)
 * @param readBasis the base's frozen directions of a target
 */
export async function blendAdapters(
  members: readonly BlendMember[],
  readBasis: (target: string) => Promise<MergeBasis>,
): Promise<BlendParts> {
  const routed: AdapterTarget[] = [];
  const single: AdapterTarget[] = [];
  const lowRank: AdapterTarget[] = [];
  for (const layer of layersOf(members)) {
    if (layer.routed) routed.push(scaledHeads(layer.routed));
    if (layer.single.length > 0) single.push(summedGains(layer.single));
    if (layer.lowRank.length > 0) lowRank.push(await summedFactors(layer.lowRank, () => readBasis(layer.name)));
  }
  const several = members.find(({ adapter }) => adapter.heads > 1)?.adapter;
  const one = members[0]?.adapter;
  const plain = { baseId: one?.baseId ?? "", heads: 1, router: "none", card: {} } as const;
  return {
    routed: several && routed.length > 0 ? { ...several, targets: routed } : null,
    single: single.length > 0 ? { ...plain, method: "mo-sara", targets: single } : null,
    lowRank: lowRank.length > 0 ? { ...plain, method: "lora", targets: lowRank } : null,
  };
}

/** Rank of the low-rank product on each target that needs one. Mo-SARA members have the widest one's k together. */
export function productRanks(members: readonly BlendMember[]): ReadonlyMap<string, number> {
  const rankOf = (shares: readonly Share[]): number => {
    const isMoSara = ({ adapter }: Share): boolean => adapter.method === "mo-sara";
    const widest = Math.max(0, ...shares.filter(isMoSara).map(({ target }) => target.k));
    return shares.reduce((sum, share) => sum + (isMoSara(share) ? 0 : share.target.k), widest);
  };
  return new Map(layersOf(members).map(({ name, lowRank }) => [name, rankOf(lowRank)]));
}

function layersOf(members: readonly BlendMember[]): readonly LayerShares[] {
  const names = new Set(members.flatMap(({ adapter }) => adapter.targets.map((target) => target.name)));
  return [...names].map((name) => {
    const shares = members.flatMap((member): Share[] => {
      const target = member.adapter.targets.find((one) => one.name === name);
      return target ? [{ ...member, target }] : [];
    });
    return sortShares(name, shares);
  });
}

function sortShares(name: string, shares: readonly Share[]): LayerShares {
  const routed = shares.find(({ adapter }) => adapter.heads > 1) ?? null;
  const plain = shares.filter(({ adapter }) => adapter.method === "mo-sara" && adapter.heads === 1);
  const anchor = routed ?? plain[0];
  const alike = anchor ? plain.filter((share) => hasScaleOf(share, anchor)) : [];
  const single = routed !== null || alike.length === plain.length ? alike : [];
  return { name, routed, single, lowRank: shares.filter((share) => share !== routed && !single.includes(share)) };
}

function hasScaleOf(one: Share, other: Share): boolean {
  const [a, b] = [values(one.target, "v"), values(other.target, "v")];
  return a.every((value, i) => value === b[i]);
}

/** w·Σ gᵢλᵢ: the gates stay as they are. */
function scaledHeads({ target, weight }: Share): AdapterTarget {
  const lambda = values(target, "lambda").map((value) => weight * value);
  const shape = target.tensors["lambda"]!.shape; // `values` has found it
  return { ...target, tensors: { ...target.tensors, lambda: hostTensor("float32", shape, lambda) } };
}

/** Σ wᵢλᵢ of shares with the same v. A share with fewer directions adds nothing to the others. */
function summedGains(shares: readonly Share[]): AdapterTarget {
  const longest = widest(shares).target;
  const sum = new Float64Array(longest.k);
  for (const { target, weight } of shares)
    values(target, "lambda").forEach((value, i) => {
      sum[i]! += weight * value;
    });
  const lambda = hostTensor("float32", [1, longest.k], Float32Array.from(sum));
  return { ...longest, tensors: { lambda, v: hostTensor("float32", [longest.dOut], values(longest, "v")) } };
}

/** Σ wᵢ·leftᵢ·rightᵢ as one product. */
async function summedFactors(shares: readonly Share[], readBasis: () => Promise<MergeBasis>): Promise<AdapterTarget> {
  const moSara = shares.filter(({ adapter }) => adapter.method === "mo-sara");
  const others = shares.filter(({ adapter }) => adapter.method !== "mo-sara");
  const factors: Factors[] = others.map(scaledFactors);
  if (moSara.length > 0) factors.unshift(sharedFactors(moSara, await readBasis()));
  const { name, dIn, dOut } = shares[0]!.target; // there is at least one
  const rank = factors.reduce((sum, { k }) => sum + k, 0);
  const down = new Float32Array(rank * dIn);
  const up = new Float32Array(dOut * rank);
  let at = 0;
  for (const { left, right, k } of factors) {
    down.set(right, at * dIn);
    for (let row = 0; row < dOut; row++) for (let i = 0; i < k; i++) up[row * rank + at + i] = left[row * k + i]!;
    at += k;
  }
  const tensors = { lora_A: hostTensor("float32", [rank, dIn], down), lora_B: hostTensor("float32", [dOut, rank], up) };
  return { name, dIn, dOut, k: rank, scale: 1, tensors };
}

/** The product of Mo-SARA shares: left = U ∘ Σ wᵢ vᵢ λᵢᵀ, right = Vᵀ, over the directions of the widest one. */
function sharedFactors(shares: readonly Share[], basis: MergeBasis): Factors {
  const { dIn, dOut, k } = widest(shares).target;
  const left = new Float64Array(dOut * k);
  for (const { target, weight } of shares) {
    const [v, lambda] = [values(target, "v"), values(target, "lambda")];
    for (let row = 0; row < dOut; row++) {
      const scale = weight * v[row]!;
      for (let i = 0; i < target.k; i++) left[row * k + i]! += scale * lambda[i]!;
    }
  }
  for (let row = 0; row < dOut; row++) for (let i = 0; i < k; i++) left[row * k + i]! *= basis.left[row * basis.k + i]!;
  const right = new Float32Array(k * dIn);
  transposeInto(basis.right, { rows: dIn, columns: k, stride: basis.k }, { values: right, stride: dIn, at: 0 });
  return { left, right, k };
}

function scaledFactors({ adapter, target, weight }: Share): Factors {
  const { left, right, k } = deltaFactors(adapter, target, null);
  return { left: left.map((value) => weight * value), right, k };
}

function widest(shares: readonly Share[]): Share {
  return shares.reduce((most, share) => (share.target.k > most.target.k ? share : most));
}

function values(target: AdapterTarget, name: string): Float32Array {
  const tensor = target.tensors[name];
  if (!tensor) throw new Error(`internal: ${target.name} has no ${name}`);
  return toFloat32(tensor);
}
