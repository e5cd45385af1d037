/** Operations that work value by value, with ONNX's (numpy's) broadcasting. Source: ONNX operators, opset 21. */
import { onnxTypeOf } from "../../formats/onnx-proto.ts";
import type { DType } from "../../tensor/dtype.ts";
import { type Var, expectDtype, fail, graphOf } from "../graph.ts";
import { broadcast, formatShape } from "../shape.ts";

function binary(op: string, a: Var, b: Var): Var {
  expectDtype(op, "the second operand", b, a.dtype);
  const shape = broadcast(a.shape, b.shape);
  if (!shape) fail(op, `${a.name} ${formatShape(a.shape)} and ${b.name} ${formatShape(b.shape)} do not broadcast`);
  return graphOf(a, b).node(op, [a, b], [{ dtype: a.dtype, shape }])[0]!;
}

function unary(op: string, x: Var): Var {
  expectDtype(op, "the operand", x, "float32", "float64");
  return graphOf(x).node(op, [x], [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

/** a + b. */
export const add = (a: Var, b: Var): Var => binary("Add", a, b);
/** a − b. */
export const sub = (a: Var, b: Var): Var => binary("Sub", a, b);
/** a · b, value by value. */
export const mul = (a: Var, b: Var): Var => binary("Mul", a, b);
/** a / b. */
export const div = (a: Var, b: Var): Var => binary("Div", a, b);

/** eˣ. */
export const exp = (x: Var): Var => unary("Exp", x);
/** 1 / (1 + e⁻ˣ). */
export const sigmoid = (x: Var): Var => unary("Sigmoid", x);

/** x · sigmoid(alpha · x); alpha = 1 is SiLU. Source: com.microsoft QuickGelu. */
export function quickGelu(x: Var, alpha: number): Var {
  expectDtype("QuickGelu", "x", x, "float32");
  return graphOf(x).node(
    "QuickGelu",
    [x],
    [{ dtype: x.dtype, shape: x.shape }],
    { alpha: { float: alpha } },
    "com.microsoft",
  )[0]!;
}

/** SiLU: x · sigmoid(x). */
export const silu = (x: Var): Var => quickGelu(x, 1);

/** The values as another type. A weight's cast is folded when the session is created. */
export function cast(x: Var, dtype: DType): Var {
  if (x.dtype === dtype) return x;
  return graphOf(x).node("Cast", [x], [{ dtype, shape: x.shape }], { to: onnxTypeOf(dtype) })[0]!;
}
