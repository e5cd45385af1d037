/** Normalisation and softmax. Source: ONNX Softmax-13; ONNX Runtime SimplifiedLayerNormalization, SkipSimplifiedLayerNormalization. */
import { type Var, expectDtype, expectShape, graphOf } from "../graph.ts";

/** RMSNorm over the last dimension: x / √(mean(x²) + epsilon) · weight. */
export function rmsNorm(x: Var, weight: Var, epsilon: number): Var {
  expectDtype("rmsNorm", "x", x, "float32");
  expectShape("rmsNorm", "the weight", weight, x.shape.slice(-1));
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  return graphOf(x).node(
    "SimplifiedLayerNormalization",
    [x, weight],
    [{ dtype: x.dtype, shape: x.shape }],
    attributes,
  )[0]!;
}

/** Softmax over one axis. */
export function softmax(x: Var, axis: number): Var {
  expectDtype("softmax", "x", x, "float32");
  return graphOf(x).node("Softmax", [x], [{ dtype: x.dtype, shape: x.shape }], { axis })[0]!;
}
