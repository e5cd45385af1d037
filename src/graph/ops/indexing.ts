/**
 * Reading and adding at indices, and the indices themselves. Duplicates in `scatterAdd` add up with any number of
 * threads. ScatterND's do not: ONNX Runtime loses updates with two threads. Source: ONNX Gather-13, GatherElements-13,
 * ScatterElements-18, Range-11, GatherND-13, Compress-11.
 */
import { type Var, expectDtype, expectShape, fail, fixedDim, graphOf } from "../graph.ts";
import { type Dim, formatShape } from "../shape.ts";
import { cast } from "./elementwise.ts";
import { shapeOf } from "./shaping.ts";

function axisOf(op: string, x: Var, axis: number): number {
  const normal = axis < 0 ? axis + x.shape.length : axis;
  if (normal < 0 || normal >= x.shape.length) fail(op, `axis ${axis} of ${formatShape(x.shape)}`);
  return normal;
}

/** The values of an axis at `indices` of any shape, which replaces the axis. Negative indices count from the end. */
export function gather(x: Var, indices: Var, axis: number): Var {
  expectDtype("gather", "the indices", indices, "int64", "int32");
  const at = axisOf("gather", x, axis);
  const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
  return graphOf(x, indices).node("Gather", [x, indices], [{ dtype: x.dtype, shape }], { axis: at })[0]!;
}

/** result[i][j] = x[i][indices[i][j]] for axis 1, and likewise for others: one index a value. */
export function gatherElements(x: Var, indices: Var, axis: number): Var {
  expectElementIndices("gatherElements", x, indices);
  const results = [{ dtype: x.dtype, shape: indices.shape }];
  return graphOf(x, indices).node("GatherElements", [x, indices], results, {
    axis: axisOf("gatherElements", x, axis),
  })[0]!;
}

/**
 * The values at indices, after leading dimensions that x and the
 * indices share: x [b…,i…,rest…], indices [b…,n…,|i|] → [b…,n…,rest…].
 * @param batchDims number of shared dimensions
 */
export function gatherND(x: Var, indices: Var, batchDims: number): Var {
  expectDtype("gatherND", "the indices", indices, "int64");
  const depth = fixedDim("gatherND", "the length of an index", indices.shape.at(-1));
  if (batchDims + depth > x.shape.length)
    fail("gatherND", `${batchDims} + ${depth} dimensions of ${formatShape(x.shape)}`);
  expectShape("gatherND", "what x shares", x, [...indices.shape.slice(0, batchDims), ...x.shape.slice(batchDims)]);
  const shape = [...indices.shape.slice(0, -1), ...x.shape.slice(batchDims + depth)];
  const results = [{ dtype: x.dtype, shape }];
  return graphOf(x, indices).node("GatherND", [x, indices], results, { batch_dims: batchDims })[0]!;
}

/** The entries of the first axis for which `isWanted` (bool) is true, in order. @param count name of their number */
export function compress(x: Var, isWanted: Var, count: string): Var {
  expectDtype("compress", "the condition", isWanted, "bool");
  expectShape("compress", "the condition", isWanted, x.shape.slice(0, 1));
  const results = [{ dtype: x.dtype, shape: [count, ...x.shape.slice(1)] }];
  return graphOf(x, isWanted).node("Compress", [x, isWanted], results, { axis: 0 })[0]!;
}

/**
 * x with each of `updates` in place of the value at its index along the axis. For a repeated index the result is
 * undefined.
 */
export function scatterElements(x: Var, indices: Var, updates: Var, axis: number): Var {
  expectElementIndices("scatterElements", x, indices);
  expectDtype("scatterElements", "updates", updates, x.dtype);
  expectShape("scatterElements", "updates", updates, indices.shape);
  const attributes = { axis: axisOf("scatterElements", x, axis) };
  const results = [{ dtype: x.dtype, shape: x.shape }];
  return graphOf(x, indices, updates).node("ScatterElements", [x, indices, updates], results, attributes)[0]!;
}

/** x with each of `updates` added at its index along the axis: the transpose of `gatherElements`. */
export function scatterAdd(x: Var, indices: Var, updates: Var, axis: number): Var {
  expectElementIndices("scatterAdd", x, indices);
  expectDtype("scatterAdd", "updates", updates, x.dtype);
  expectShape("scatterAdd", "updates", updates, indices.shape);
  const attributes = { axis: axisOf("scatterAdd", x, axis), reduction: "add" };
  const results = [{ dtype: x.dtype, shape: x.shape }];
  return graphOf(x, indices, updates).node("ScatterElements", [x, indices, updates], results, attributes)[0]!;
}

function expectElementIndices(op: string, x: Var, indices: Var): void {
  expectDtype(op, "the indices", indices, "int64", "int32");
  if (indices.shape.length !== x.shape.length)
    fail(op, `the indices are ${formatShape(indices.shape)}, wanted as many dimensions as ${formatShape(x.shape)}`);
}

/** Zeros in the shape of `like`, named dimensions included. */
export function zerosLike(like: Var): Var {
  const graph = graphOf(like);
  const fixed = like.shape.every((dim) => typeof dim === "number");
  const sizes = fixed ? graph.constant("int64", [like.shape.length], like.shape) : shapeOf(like);
  // Without its attribute, ConstantOfShape gives float32 zeros.
  const zeros = graph.node("ConstantOfShape", [sizes], [{ dtype: "float32", shape: like.shape }])[0]!;
  return cast(zeros, like.dtype);
}

/** 0, 1, … below the size of one dimension of `x`: int64 [that dimension]. */
export function indicesAlong(x: Var, axis: number): Var {
  const graph = graphOf(x);
  const at = axisOf("indicesAlong", x, axis);
  const dim = x.shape[at] as Dim; // axisOf has checked it
  const scalar = (value: number): Var => graph.constant("int64", [], [value]);
  const size = sizeOf(x, at);
  return graph.node("Range", [scalar(0), size, scalar(1)], [{ dtype: "int64", shape: [dim] }])[0]!;
}

/** The size of one dimension of `x`, known when the graph runs: int64 scalar. */
export function sizeOf(x: Var, axis: number): Var {
  const graph = graphOf(x);
  const at = axisOf("sizeOf", x, axis);
  const place = [shapeOf(x), graph.constant("int64", [], [at])];
  return graph.node("Gather", place, [{ dtype: "int64", shape: [] }], { axis: 0 })[0]!;
}

/** The number of values in x, as a scalar of x's type. */
export function numElementsOf(x: Var): Var {
  const size = graphOf(x).node("Size", [x], [{ dtype: "int64", shape: [] }])[0]!;
  return cast(size, x.dtype);
}
