/** Derivatives of normalisation and softmax. y is the result, dy its gradient. */
import type { Node, Var } from "../../graph/graph.ts";
import { cast, exp, mul, sub } from "../../graph/ops/elementwise.ts";
import { reduceMean, reduceSum } from "../../graph/ops/reduce.ts";
import { again } from "../again.ts";
import { type Gradient, intAttribute, ofFirstResult, operand, result, sumTo } from "../rule.ts";

/** 1/√(mean(x²) + ε) of a norm, [...,1] in x's type. It is a second result of the norm's node, requested here. */
function inverseNorm(node: Node): Var {
  const x = operand(node, 0);
  // ONNX Runtime gives it in float32 for any type of x.
  const inverse = node.outputs[1] ?? x.graph.addOutput(node, "float32", [...x.shape.slice(0, -1), 1]);
  return cast(inverse, x.dtype);
}

/**
 * y = x r w, r = 1/√(mean(x²) + ε): with g = dy w, dx = r (g − x r² mean(g x)), dw = Σ dy x r. y is not read, so its
 * memory is free where nobody else needs it.
 */
function rmsNormRule(node: Node, dy: Var): readonly Gradient[] {
  const [x, weight] = [operand(node, 0), operand(node, 1)];
  return [
    () => {
      const [r, g] = [inverseNorm(node), mul(dy, weight)];
      const mean = reduceMean(mul(g, x), { axes: [-1], keepDims: true });
      return mul(sub(g, mul(x, mul(mul(r, r), mean))), r);
    },
    () => sumTo(mul(dy, mul(x, inverseNorm(node))), weight),
  ];
}

/**
 * y = h w + b, h = (x − mean(x)) r, r = 1/√(var(x) + ε): with g = dy w, dx = r (g − mean(g) − h mean(g h)), dw = Σ dy
 * h, db = Σ dy.
 */
function layerNormRule(node: Node, dy: Var): readonly Gradient[] {
  const [x, weight] = [operand(node, 0), operand(node, 1)];
  const narrow = [...x.shape.slice(0, -1), 1];
  const further = (index: number): Var => {
    while (node.outputs.length <= index) x.graph.addOutput(node, "float32", narrow);
    return cast(node.outputs[index] ?? dy, x.dtype);
  };
  const normed = (): Var => mul(sub(x, further(1)), further(2)); // its further results are the mean and r
  const mean = (value: Var): Var => reduceMean(value, { axes: [-1], keepDims: true });
  return [
    () => {
      const [h, g] = [normed(), mul(dy, weight)];
      return mul(sub(sub(g, mean(g)), mul(h, mean(mul(g, h)))), further(2));
    },
    () => sumTo(mul(dy, normed()), weight),
    () => sumTo(dy, operand(node, 2)),
  ];
}

/** Σ over the axis of the node, which stays with size 1. */
const sumOverAxis = (node: Node, value: Var): Var =>
  reduceSum(value, { axes: [intAttribute(node, "axis", -1)], keepDims: true });

export const normRules = ofFirstResult({
  SimplifiedLayerNormalization: rmsNormRule,
  LayerNormalization: layerNormRule,
  // y = eˣ/Σeˣ: dx = y (dy − Σ dy y)
  Softmax: (node, dy) => [
    () => {
      const y = again(result(node), dy);
      return mul(y, sub(dy, sumOverAxis(node, mul(dy, y))));
    },
  ],
  // y = x − log Σeˣ: dx = dy − e^y Σ dy
  LogSoftmax: (node, dy) => [() => sub(dy, mul(exp(result(node)), sumOverAxis(node, dy)))],
});
