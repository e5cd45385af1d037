/** Operations that work value by value, with ONNX's (numpy's) broadcasting. Source: ONNX operators, opset 21. */
import { onnxTypeOf } from "../../formats/onnx-proto.ts";
import type { DType } from "../../tensor/dtype.ts";
import { type Var, expectDtype, expectShape, fail, graphOf } from "../graph.ts";
import { broadcast, formatShape } from "../shape.ts";

function binary(op: string, a: Var, b: Var, dtype: DType = a.dtype): Var {
  expectDtype(op, "the second operand", b, a.dtype);
  const shape = broadcast(a.shape, b.shape);
  if (!shape) fail(op, `${a.name} ${formatShape(a.shape)} and ${b.name} ${formatShape(b.shape)} do not broadcast`);
  return graphOf(a, b).node(op, [a, b], [{ dtype, shape }])[0]!;
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

/** aᵇ, value by value. */
export const pow = (a: Var, b: Var): Var => binary("Pow", a, b);
/** The greater of a and b. */
export const maximum = (a: Var, b: Var): Var => binary("Max", a, b);

/** a = b as bool. */
export const equal = (a: Var, b: Var): Var => binary("Equal", a, b, "bool");
/** a < b as bool. */
export const less = (a: Var, b: Var): Var => binary("Less", a, b, "bool");
/** a ≤ b as bool. */
export const lessOrEqual = (a: Var, b: Var): Var => binary("LessOrEqual", a, b, "bool");

/** a and b, both bool. */
export function and(a: Var, b: Var): Var {
  expectDtype("And", "the first operand", a, "bool");
  return binary("And", a, b);
}

/** a or b, both bool. */
export function or(a: Var, b: Var): Var {
  expectDtype("Or", "the first operand", a, "bool");
  return binary("Or", a, b);
}

/** The opposite of a bool. */
export function not(x: Var): Var {
  expectDtype("Not", "the operand", x, "bool");
  return graphOf(x).node("Not", [x], [{ dtype: "bool", shape: x.shape }])[0]!;
}

/** The sum of all values, which have one shape; a single value is returned itself. */
export function sum(values: readonly Var[]): Var {
  const [first, second] = values;
  if (!first) fail("Sum", "nothing to add");
  if (!second) return first;
  if (values.length === 2) return add(first, second);
  for (const value of values) {
    expectDtype("Sum", value.name, value, first.dtype);
    expectShape("Sum", value.name, value, first.shape);
  }
  return graphOf(...values).node("Sum", values, [{ dtype: first.dtype, shape: first.shape }])[0]!;
}

/** x where the condition holds, otherwise y; all three broadcast. */
export function where(condition: Var, x: Var, y: Var): Var {
  expectDtype("Where", "the condition", condition, "bool");
  expectDtype("Where", "the third operand", y, x.dtype);
  const both = broadcast(x.shape, y.shape);
  const shape = both && broadcast(condition.shape, both);
  if (!shape) {
    const shapes = [condition, x, y].map((value) => formatShape(value.shape)).join(", ");
    fail("Where", `${shapes} do not broadcast`);
  }
  return graphOf(condition, x, y).node("Where", [condition, x, y], [{ dtype: x.dtype, shape }])[0]!;
}

/** −x. */
export const neg = (x: Var): Var => unary("Neg", x);
/** The natural logarithm. */
export const log = (x: Var): Var => unary("Log", x);
/** |x|. */
export const abs = (x: Var): Var => unary("Abs", x);
/** √x. */
export const sqrt = (x: Var): Var => unary("Sqrt", x);
/** 1 / x. */
export const reciprocal = (x: Var): Var => unary("Reciprocal", x);
/** The hyperbolic tangent. */
export const tanh = (x: Var): Var => unary("Tanh", x);
/** The greater of x and 0. */
export const relu = (x: Var): Var => unary("Relu", x);
/** The error function, 2/√π ∫₀ˣ e^(−t²) dt. */
export const erf = (x: Var): Var => unary("Erf", x);
/** eˣ. */
export const exp = (x: Var): Var => unary("Exp", x);
/** log(1 + eˣ), without overflow. */
export const softplus = (x: Var): Var => unary("Softplus", x);
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

/** GELU in its tanh form: x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). Source: ONNX Gelu-20. */
export function geluTanh(x: Var): Var {
  expectDtype("Gelu", "x", x, "float32", "float64");
  return graphOf(x).node("Gelu", [x], [{ dtype: x.dtype, shape: x.shape }], { approximate: "tanh" })[0]!;
}

/** SiLU: x · sigmoid(x). */
export const silu = (x: Var): Var => quickGelu(x, 1);

/** The values under a new name, for a result that a node must produce. */
export function identity(x: Var): Var {
  return graphOf(x).node("Identity", [x], [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

/** The values as another type. A weight's cast is folded when the session is created. */
export function cast(x: Var, dtype: DType): Var {
  if (x.dtype === dtype) return x;
  return graphOf(x).node("Cast", [x], [{ dtype, shape: x.shape }], { to: onnxTypeOf(dtype) })[0]!;
}
