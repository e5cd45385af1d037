/** A decoder's norms, whatever their kind. */
import type { Var } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import { layerNorm, rmsNorm } from "../graph/ops/norm.ts";
import type { ModelConfig } from "./config/model-config.ts";

/** A tensor of the checkpoint as float32. */
export type TensorOf = (name: string) => Var;

/** The norm called `name` over the last dimension of x. */
export function normalize({ norm }: Pick<ModelConfig, "norm">, x: Var, name: string, tensor: TensorOf): Var {
  const stored = tensor(`${name}.weight`);
  if (norm.kind === "layer") return layerNorm(x, stored, tensor(`${name}.bias`), norm.epsilon);
  // Added to a constant, so folded when the session opens; where the weight is trained, a node like any other.
  const weight = norm.offset === 1 ? add(stored, stored.graph.constant("float32", [], [1])) : stored;
  return rmsNorm(x, weight, norm.epsilon);
}
