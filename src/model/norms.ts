/** A decoder's norms, of every kind. */
import type { Var } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import { layerNorm, rmsNorm } from "../graph/ops/norm.ts";
import type { ModelConfig } from "./config/model-config.ts";

/** A tensor of the checkpoint as float32. */
export type TensorOf = (name: string) => Var;

/** The norm called `name` over the last dimension of x. */
export function normalize({ norm }: Pick<ModelConfig, "norm">, x: Var, name: string, tensor: TensorOf): Var {
  const stored = tensor(`${name}.weight`);
  // The offset is added to a constant, so it is folded when the session
  // opens. Where the weight is trained, it is an ordinary node.
  const weight = norm.offset === 1 ? add(stored, stored.graph.constant("float32", [], [1])) : stored;
  if (norm.kind === "rms") return rmsNorm(x, weight, norm.epsilon);
  const size = x.shape.at(-1) as number; // widths are numbers
  const bias =
    norm.kind === "layer"
      ? tensor(`${name}.bias`)
      : stored.graph.constant(
          "float32",
          [size],
          Array.from({ length: size }, () => 0),
        );
  return layerNorm(x, weight, bias, norm.epsilon);
}
