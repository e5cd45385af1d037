/**
 * SARA: delta(x) = A(Λ ⊙ (B x)). The threshold sets the rank k; training starts from the layer's own singular vectors.
 * Source: arXiv 2408.03290; the form of docs/explanation/mo-sara.md.
 */
import { mul } from "../graph/ops/elementwise.ts";
import { transpose } from "../graph/ops/shaping.ts";
import { toFloat32 } from "../tensor/host-tensor.ts";
import { lowRankDelta } from "./low-rank.ts";
import { type AdapterMethod, named, needBasis } from "./method.ts";

/** A [dOut,k] starts as U_k, B [k,dIn] as V_kᵀ, Lambda [k] at 0. */
export const sara: AdapterMethod = {
  basis: "initial",
  parameters: ({ dIn, dOut, k }) => ({ A: [dOut, k], Lambda: [k], B: [k, dIn] }),
  initialValues: ({ dIn, k }, _, basis) => {
    const { left, right } = needBasis(basis);
    const rows = toFloat32(right); // [dIn,k]
    const B = Float32Array.from(
      { length: k * dIn },
      (_value, i) => rows[(i % dIn) * k + Math.floor(i / dIn)] as number,
    ); // i < k·dIn
    return { A: Float32Array.from(toFloat32(left)), Lambda: new Float32Array(k), B };
  },
  delta: (x, _target, _settings, parameters) => {
    const up = mul(named(parameters, "A"), named(parameters, "Lambda")); // A diag(Λ), [dOut,k]
    return lowRankDelta(x, transpose(named(parameters, "B"), [1, 0]), transpose(up, [1, 0]));
  },
};
