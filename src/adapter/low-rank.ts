/**
 * The low-rank forward pass that SARA and LoRA share: delta(x) = up (down x).
 * SARA's A(Λ ⊙ Bx) has down = B, up = A diag(Λ). LoRA's (α/r) B(Ax) has down = A, up = (α/r) B.
 * Every sequence of a batch has its own two matrices, padded with zeros to one rank.
 */
import type { Var } from "../graph/graph.ts";
import { matMul } from "../graph/ops/linear.ts";
import { toFloat32 } from "../tensor/host-tensor.ts";
import type { AdapterTarget, Method } from "./adapter.ts";

/**
 * @param x float32 [B,T,dIn]
 * @param down float32 [B,dIn,r]
 * @param up float32 [B,r,dOut]
 * @returns float32 [B,T,dOut]
 */
export function lowRankDelta(x: Var, down: Var, up: Var): Var {
  return matMul(matMul(x, down), up);
}

/** A target's two matrices: down float32 [rank,dIn], up float32 [dOut,rank]. */
export interface LowRankFactors {
  readonly rank: number;
  readonly down: Float32Array;
  readonly up: Float32Array;
}

/** The two matrices of a SARA or LoRA target. The diagonal or the scale is folded into the second one. */
export function lowRankFactors(method: Exclude<Method, "mo-sara">, target: AdapterTarget): LowRankFactors {
  const tensor = (name: string): Float32Array => {
    const value = target.tensors[name];
    if (!value) throw new Error(`internal: ${target.name} has no ${name}`);
    return toFloat32(value);
  };
  const rank = target.k;
  if (method === "lora")
    return { rank, down: tensor("lora_A"), up: tensor("lora_B").map((value) => value * (target.scale ?? 1)) };
  const lambda = tensor("Lambda");
  return { rank, down: tensor("B"), up: tensor("A").map((value, i) => value * (lambda[i % rank] ?? 0)) };
}
