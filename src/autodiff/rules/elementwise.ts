/**
 * Derivatives of operations that work value by value. y is the result, dy its gradient. The gradient of an operand that
 * was repeated (broadcast) is the sum over the repetitions.
 */
import type { Node, Var } from "../../graph/graph.ts";
import {
  add,
  cast,
  div,
  erf,
  exp,
  less,
  log,
  mul,
  neg,
  pow,
  sigmoid,
  sub,
  tanh,
  where,
} from "../../graph/ops/elementwise.ts";
import { again, quickGeluSigmoid } from "../again.ts";
import { type Gradient, floatAttribute, ofFirstResult, operand, result, scalarLike, sumTo } from "../rule.ts";

type RuleOfOne = (node: Node, dy: Var) => readonly Gradient[];

/** @param derivative computes dx from dy, x and y */
function unary(derivative: (dy: Var, x: Var, y: Var) => Var): RuleOfOne {
  return (node, dy) => [() => derivative(dy, operand(node, 0), result(node))];
}

type Partial = (dy: Var, a: Var, b: Var, y: Var) => Var;

/** @param partials compute da and db from dy, a, b and y, before repetitions are summed */
function binary(...partials: readonly [Partial, Partial]): RuleOfOne {
  return (node, dy) =>
    partials.map((partial, i) => () => {
      const [a, b] = [operand(node, 0), operand(node, 1)];
      return sumTo(partial(dy, a, b, result(node)), operand(node, i));
    });
}

/** dx = dy · (s + αy(1 − s)), s = sigmoid(αx), y = xs. */
function quickGeluGradient(node: Node, dy: Var): Var {
  const x = operand(node, 0);
  const alpha = floatAttribute(node, "alpha", 1.702);
  const y = again(result(node), dy);
  const s = quickGeluSigmoid(node);
  const tail = mul(y, sub(scalarLike(x, 1), s));
  return mul(dy, add(s, alpha === 1 ? tail : mul(tail, scalarLike(x, alpha))));
}

/**
 * "tanh": y = x/2 (1 + t), t = tanh(√(2/π)(x + 0.044715 x³)): dx = dy (1 + t + x (1 − t²) √(2/π)(1 + 3·0.044715 x²)) /
 * 2. Exact: y = x Φ(x): dx = dy (Φ(x) + x φ(x)), φ(x) = e^(−x²/2)/√(2π).
 */
function geluGradient(node: Node, dy: Var): Var {
  const x = operand(node, 0);
  const c = (value: number): Var => scalarLike(x, value);
  const square = mul(x, x);
  if (node.attributes.approximate !== "tanh") {
    const below = mul(add(erf(mul(x, c(Math.SQRT1_2))), c(1)), c(0.5));
    const density = mul(exp(mul(square, c(-0.5))), c(1 / Math.sqrt(2 * Math.PI)));
    return mul(dy, add(below, mul(x, density)));
  }
  const [root, cubic] = [Math.sqrt(2 / Math.PI), 0.044715];
  const t = tanh(mul(x, add(mul(square, c(root * cubic)), c(root))));
  const slope = mul(x, add(mul(square, c(1.5 * root * cubic)), c(0.5 * root)));
  const half = mul(add(t, c(1)), c(0.5));
  return mul(dy, add(half, mul(sub(c(1), mul(t, t)), slope)));
}

export const elementwiseRules = ofFirstResult({
  // y = a + b: da = dy, db = dy
  Add: binary(
    (dy) => dy,
    (dy) => dy,
  ),
  // y = a − b: da = dy, db = −dy
  Sub: binary((dy) => dy, neg),
  // y = ab: da = dy b, db = dy a
  Mul: binary(
    (dy, _, b) => mul(dy, again(b, dy)),
    (dy, a) => mul(dy, again(a, dy)),
  ),
  // y = a/b: da = dy/b, db = −dy y/b
  Div: binary(
    (dy, _, b) => div(dy, b),
    (dy, _, b, y) => neg(div(mul(dy, y), b)),
  ),
  // y = a^b: da = dy b a^(b−1), db = dy y log a
  Pow: binary(
    (dy, a, b) => mul(dy, mul(b, pow(a, sub(b, scalarLike(b, 1))))),
    (dy, a, _, y) => mul(dy, mul(y, log(a))),
  ),
  // y = Σ xᵢ: dxᵢ = dy
  Sum: (node, dy) => node.inputs.map((_, i) => () => sumTo(dy, operand(node, i))),
  // y = −x: dx = −dy
  Neg: unary((dy) => neg(dy)),
  // y = eˣ: dx = dy y
  Exp: unary((dy, _, y) => mul(dy, y)),
  // y = log x: dx = dy/x
  Log: unary((dy, x) => div(dy, x)),
  // y = √x: dx = dy / 2y
  Sqrt: unary((dy, x, y) => div(mul(dy, scalarLike(x, 0.5)), y)),
  // y = 1/x: dx = −dy y²
  Reciprocal: unary((dy, _, y) => neg(mul(dy, mul(y, y)))),
  // y = 1/(1+e⁻ˣ): dx = dy y(1 − y)
  Sigmoid: unary((dy, x, y) => mul(dy, mul(y, sub(scalarLike(x, 1), y)))),
  // y = log(1 + eˣ): dx = dy / (1+e⁻ˣ)
  Softplus: unary((dy, x) => mul(dy, sigmoid(x))),
  // y = tanh x: dx = dy (1 − y²)
  // 0 where x = 0, as in PyTorch.
  Relu: unary((dy, _x, y) => where(less(scalarLike(y, 0), y), dy, scalarLike(y, 0))),
  Tanh: unary((dy, x, y) => mul(dy, sub(scalarLike(x, 1), mul(y, y)))),
  // y = erf x: dx = dy 2/√π e^(−x²)
  Erf: unary((dy, x) => mul(dy, mul(exp(neg(mul(x, x))), scalarLike(x, 2 / Math.sqrt(Math.PI))))),
  Gelu: (node, dy) => [() => geluGradient(node, dy)],
  QuickGelu: (node, dy) => [() => quickGeluGradient(node, dy)],
  // y = x: dx = dy
  Identity: unary((dy) => dy),
  // y = x in another float type: dx = dy in x's
  Cast: unary((dy, x) => cast(dy, x.dtype)),
  // y = c ? a : b: da = c ? dy : 0, db = c ? 0 : dy
  Where: (node, dy) => {
    const condition = operand(node, 0);
    const zero = scalarLike(dy, 0);
    return [
      null,
      () => sumTo(where(condition, dy, zero), operand(node, 1)),
      () => sumTo(where(condition, zero, dy), operand(node, 2)),
    ];
  },
});
