/**
 * Mo-SARA's forward pass: delta(x) = v ⊙ U((Σᵢ gᵢ(z) λᵢ) ⊙ z) with z = Vᵀx. U and V are the base's frozen basis, shared by
 * every adapter; λ, v and the router belong to the row. The gated λ are combined first, so that n heads cost one product.
 * Used by the serving graph and the training graph alike. Source: arXiv 2408.03290; the form of design.md §2.
 */
import type { Var } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/elementwise.ts";
import { matMul } from "../graph/ops/linear.ts";
import { softmax } from "../graph/ops/norm.ts";
import { squeeze, unsqueeze } from "../graph/ops/shaping.ts";

/** The basis of a linear layer, or of several side by side. */
export interface BasisVars {
  /** V, float32 [dIn,k]. */
  readonly right: Var;
  /** Uᵀ, float32 [k,dOut]. */
  readonly left: Var;
}

/**
 * What the adapter adds to the layer's output.
 * @param x float32 [M,dIn]
 * @param gainsOf the effective λ for z [M,k], float32 [1|M,k]
 * @param scale v, float32 [1|M,dOut]
 * @returns float32 [M,dOut]
 */
export function moSaraDelta(x: Var, basis: BasisVars, gainsOf: (z: Var) => Var, scale: Var): Var {
  const z = matMul(x, basis.right);
  return mul(matMul(mul(z, gainsOf(z)), basis.left), scale);
}

/**
 * Gates of a full router: softmax over heads of W_g z. A rank-1 router is the full one with W_g = w₂ w₁ᵀ.
 * @param z float32 [M,k]
 * @param router W_gᵀ, float32 [1|M,k,n]
 * @param mask float32 [1|M,1,n]: 0 for a head, −∞ for padding; null: all are heads
 * @returns float32 [M,1,n]
 */
export function gates(z: Var, router: Var, mask: Var | null): Var {
  const scores = matMul(unsqueeze(z, 1), router);
  return softmax(mask ? add(scores, mask) : scores, -1);
}

/** Σᵢ gᵢ λᵢ: gates float32 [M,1,n], heads float32 [1|M,n,k] → float32 [M,k]. */
export function mixHeads(gate: Var, heads: Var): Var {
  return squeeze(matMul(gate, heads), 1);
}
