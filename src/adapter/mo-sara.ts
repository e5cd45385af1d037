/**
 * Mo-SARA's forward pass: delta(x) = v ⊙ U((Σᵢ gᵢ(z) λᵢ) ⊙ z) with z = Vᵀx.
 * All adapters share U and V, the base's frozen basis. λ, v and the router belong to the row.
 * The gated λ are added first, so that n heads cost one product.
 * The serving graph (numbers of each row) and the training graph (one adapter) both use it.
 * Source: arXiv 2408.03290; the form of docs/explanation/mo-sara.md.
 */
import type { Var } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/elementwise.ts";
import { matMul } from "../graph/ops/linear.ts";
import { softmax } from "../graph/ops/norm.ts";
import { squeeze, transpose, unsqueeze } from "../graph/ops/shaping.ts";
import { toFloat32 } from "../tensor/host-tensor.ts";
import { nextNormal } from "../tensor/random.ts";
import type { RouterKind } from "./adapter.ts";
import { type AdapterMethod, type BasisVars, type MethodSettings, named, needBasis } from "./method.ts";

/** The two products with a layer's frozen basis. They do not depend on how a graph stores it. */
export interface BasisProducts {
  /** z = Vᵀx: float32 [M,dIn] → [M,k]. */
  readonly project: (x: Var) => Var;
  /** U z: float32 [M,k] → [M,dOut]. */
  readonly expand: (z: Var) => Var;
}

/** The two products, with V and Uᵀ stored directly. */
export function plainBasis({ left, right }: BasisVars): BasisProducts {
  return { project: (x) => matMul(x, right), expand: (z) => matMul(z, left) };
}

/**
 * Builds the term that the adapter adds to the layer's output.
 * @param x float32 [M,dIn]
 * @param weigh z [M,k] → the effective λ ⊙ z
 * @param scale v, float32 [1|M,dOut]
 * @returns float32 [M,dOut]
 */
export function moSaraDelta(x: Var, basis: BasisProducts, weigh: (z: Var) => Var, scale: Var): Var {
  return mul(basis.expand(weigh(basis.project(x))), scale);
}

/**
 * Gates, where each row has a full router of its own: softmax
 * over heads of W_g z. A rank-1 router is the full one with W_g = w₂ w₁ᵀ.
 * @param z float32 [M,k]
 * @param router W_gᵀ, float32 [1|M,k,n]
 * @param mask float32 [1|M,1,n]: 0 for a head, −∞ for padding; null: there is no padding
 * @returns float32 [M,1,n]
 */
export function gates(z: Var, router: Var, mask: Var | null): Var {
  const scores = matMul(unsqueeze(z, 1), router);
  return softmax(mask ? add(scores, mask) : scores, -1);
}

/** Σᵢ gᵢ λᵢ, where each row has heads of its own: gates float32 [M,1,n], heads float32 [1|M,n,k] → float32 [M,k]. */
export function mixHeads(gate: Var, heads: Var): Var {
  return squeeze(matMul(gate, heads), 1);
}

/** Gates, where all rows have the same adapter: z float32 [M,k] → float32 [M,n]. */
export function sharedGates(z: Var, router: RouterKind, parameters: Readonly<Record<string, Var>>): Var {
  const scores =
    router === "full"
      ? matMul(z, transpose(named(parameters, "router_full"), [1, 0]))
      : mul(matMul(z, unsqueeze(named(parameters, "router_w1"), 1)), named(parameters, "router_w2"));
  return softmax(scores, -1);
}

/** Σᵢ gᵢ λᵢ, where all rows have the same adapter. z float32 [M,k] → float32 [M,k]. One head: λ [1,k] itself. */
function sharedGains(z: Var, { heads, router }: MethodSettings, parameters: Readonly<Record<string, Var>>): Var {
  const lambda = named(parameters, "lambda"); // [n,k]
  return heads === 1 ? lambda : matMul(sharedGates(z, router, parameters), lambda);
}

/**
 * lambda [n,k] starts at σ (1 + 0.1 noise), v [dOut] at 0. The router's w₁ and rows have variance 1/k, w₂ variance 1.
 */
export const moSara: AdapterMethod = {
  basis: "forward",
  parameters: ({ dOut, k }, { heads, router }) => ({
    lambda: [heads, k],
    v: [dOut],
    ...(router === "rank1" ? { router_w1: [k], router_w2: [heads] } : {}),
    ...(router === "full" ? { router_full: [heads, k] } : {}),
  }),
  initialValues: ({ dOut, k }, { heads, router }, basis, random) => {
    const sigma = toFloat32(needBasis(basis).sigma);
    const normals = (length: number, deviation: number): Float32Array =>
      Float32Array.from({ length }, () => deviation * nextNormal(random));
    const lambda = Float32Array.from(
      { length: heads * k },
      (_, i) => (sigma[i % k] ?? 0) * (1 + 0.1 * nextNormal(random)),
    );
    const common = { lambda, v: new Float32Array(dOut) };
    const deviation = 1 / Math.sqrt(k);
    if (router === "rank1") return { ...common, router_w1: normals(k, deviation), router_w2: normals(heads, 1) };
    return router === "full" ? { ...common, router_full: normals(heads * k, deviation) } : common;
  },
  // v has the unit 1, because it scales the layer's own output by 1 + v along the basis. λ has the unit σ. Training
  // then takes the same steps if one layer's weights are scaled and the next layer's by the inverse.
  units: ({ k }, { heads }, basis) => {
    const sigma = toFloat32(needBasis(basis).sigma);
    return { lambda: Float32Array.from({ length: heads * k }, (_, i) => sigma[i % k] ?? 0) };
  },
  delta: (x, _target, settings, parameters, basis) =>
    moSaraDelta(
      x,
      plainBasis(needBasis(basis)),
      (z) => mul(z, sharedGains(z, settings, parameters)),
      named(parameters, "v"),
    ),
};
