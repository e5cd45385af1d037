/** Sums, means and maxima over axes. Source: ONNX ReduceSum-13, ReduceMean-18, ReduceMax-20. */
import { type Var, expectDtype, fail, graphOf } from "../graph.ts";
import { formatShape } from "../shape.ts";

/** The axes to reduce, negative ones counted from the end (null: all), and whether they stay with size 1. */
export interface Reduction {
  readonly axes: readonly number[] | null;
  readonly keepDims: boolean;
}

function reduce(op: string, x: Var, { axes, keepDims }: Reduction): Var {
  expectDtype(op, "the operand", x, "float32", "float64");
  const rank = x.shape.length;
  const reduced = new Set(x.shape.map((_, i) => i));
  if (axes) {
    const places = axes.map((axis) => (axis < 0 ? axis + rank : axis));
    if (places.length === 0 || places.some((place) => !reduced.has(place)) || new Set(places).size < places.length)
      fail(op, `axes [${axes.join(",")}] of ${formatShape(x.shape)}`);
    reduced.clear();
    for (const place of places) reduced.add(place);
  }
  const shape = keepDims
    ? x.shape.map((dim, i) => (reduced.has(i) ? 1 : dim))
    : x.shape.filter((_, i) => !reduced.has(i));
  const graph = graphOf(x);
  const operands = axes ? [x, graph.constant("int64", [axes.length], axes)] : [x];
  return graph.node(op, operands, [{ dtype: x.dtype, shape }], { keepdims: keepDims ? 1 : 0 })[0]!;
}

/** The sum of the values along the axes. */
export const reduceSum = (x: Var, reduction: Reduction): Var => reduce("ReduceSum", x, reduction);
/** The mean of the values along the axes. */
export const reduceMean = (x: Var, reduction: Reduction): Var => reduce("ReduceMean", x, reduction);
/** The greatest of the values along the axes. */
export const reduceMax = (x: Var, reduction: Reduction): Var => reduce("ReduceMax", x, reduction);
