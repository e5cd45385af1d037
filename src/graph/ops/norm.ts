/**
 * Normalisation and softmax. Source: ONNX Softmax-13, LogSoftmax-13; ONNX Runtime SimplifiedLayerNormalization,
 * SkipSimplifiedLayerNormalization.
 */
import { type Var, expectDtype, expectShape, fail, graphOf } from "../graph.ts";
import { formatShape } from "../shape.ts";

/** RMSNorm over the last dimension: x / √(mean(x²) + epsilon) · weight. */
export function rmsNorm(x: Var, weight: Var, epsilon: number): Var {
  expectDtype("rmsNorm", "x", x, "float32", "float64");
  expectDtype("rmsNorm", "the weight", weight, x.dtype);
  expectShape("rmsNorm", "the weight", weight, x.shape.slice(-1));
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  return graphOf(x).node(
    "SimplifiedLayerNormalization",
    [x, weight],
    [{ dtype: x.dtype, shape: x.shape }],
    attributes,
  )[0]!;
}

/**
 * LayerNorm over the last dimension: (x − mean) / √(variance + epsilon) · weight + bias. Source: ONNX
 * LayerNormalization-17.
 */
export function layerNorm(x: Var, weight: Var, bias: Var, epsilon: number): Var {
  expectDtype("layerNorm", "x", x, "float32", "float64");
  for (const [label, value] of [
    ["the weight", weight],
    ["the bias", bias],
  ] as const) {
    expectDtype("layerNorm", label, value, x.dtype);
    expectShape("layerNorm", label, value, x.shape.slice(-1));
  }
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  const results = [{ dtype: x.dtype, shape: x.shape }];
  return graphOf(x, weight).node("LayerNormalization", [x, weight, bias], results, attributes)[0]!;
}

function overAxis(op: string, x: Var, axis: number): Var {
  expectDtype(op, "x", x, "float32", "float64");
  if (axis < -x.shape.length || axis >= x.shape.length) fail(op, `axis ${axis} of ${formatShape(x.shape)}`);
  return graphOf(x).node(op, [x], [{ dtype: x.dtype, shape: x.shape }], { axis })[0]!;
}

/** Softmax over one axis. */
export const softmax = (x: Var, axis: number): Var => overAxis("Softmax", x, axis);
/** The logarithm of softmax over one axis. */
export const logSoftmax = (x: Var, axis: number): Var => overAxis("LogSoftmax", x, axis);
