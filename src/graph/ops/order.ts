/**
 * The greatest values of an axis and their indices. Among equals the lower index comes first. Source: ONNX ArgMax-13,
 * TopK-11.
 */
import { type Var, expectDtype, fail, fixedDim, graphOf } from "../graph.ts";
import { formatShape } from "../shape.ts";

/** Index of the first greatest value of the last axis: int64, without that axis. */
export function argMax(x: Var): Var {
  expectDtype("argMax", "the operand", x, "float32");
  const shape = x.shape.slice(0, -1);
  // It has one result.
  return graphOf(x).node("ArgMax", [x], [{ dtype: "int64", shape }], { axis: -1, keepdims: 0 })[0]!;
}

/** The `count` greatest values of the last axis, greatest first, and their indices (int64). */
export function topK(x: Var, count: number): { readonly values: Var; readonly indices: Var } {
  expectDtype("topK", "the operand", x, "float32");
  const size = fixedDim("topK", "the last dimension", x.shape.at(-1));
  if (count < 1 || count > size) fail("topK", `${count} values of the last axis of ${formatShape(x.shape)}`);
  const shape = [...x.shape.slice(0, -1), count];
  const graph = graphOf(x);
  const results = [
    { dtype: x.dtype, shape },
    { dtype: "int64", shape },
  ] as const;
  const [values, indices] = graph.node("TopK", [x, graph.constant("int64", [1], [count])], results, { axis: -1 });
  return { values: values!, indices: indices! }; // one for each result
}
