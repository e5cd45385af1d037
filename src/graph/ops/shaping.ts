/** Operations that move values without changing them. Source: ONNX operators, opset 21. */
import { type Var, expectDtype, expectRank, fail, fixedDim, graphOf } from "../graph.ts";
import { type Dim, type Shape, formatShape, product, quotient, sameDim } from "../shape.ts";

function normalAxis(op: string, x: Var, axis: number): number {
  const normal = axis < 0 ? axis + x.shape.length : axis;
  if (normal < 0 || normal >= x.shape.length) fail(op, `axis ${axis} of ${formatShape(x.shape)}`);
  return normal;
}

const int64s = (like: Var, values: readonly number[]): Var => graphOf(like).constant("int64", [values.length], values);

/** The same values in another shape of as many elements; at most one dimension may be a name (more: `reshapeLike`). */
export function reshape(x: Var, shape: Shape): Var {
  if (!sameDim(product(x.shape), product(shape)))
    fail("reshape", `${formatShape(x.shape)} does not hold as many values as ${formatShape(shape)}`);
  if (shape.filter((dim) => typeof dim === "string").length > 1)
    fail("reshape", `only one dimension of ${formatShape(shape)} may be a name; use reshapeLike`);
  const wanted = int64s(
    x,
    shape.map((dim) => (typeof dim === "string" ? -1 : dim)),
  );
  return graphOf(x).node("Reshape", [x, wanted], [{ dtype: x.dtype, shape }])[0]!;
}

/** The same values with the leading dimensions of `like` (named ones included) before `tail`; what is left over has to fit. */
export function reshapeLike(x: Var, like: Var, tail: readonly number[]): Var {
  const shape = [...like.shape, ...tail];
  if (quotient(product(x.shape), product(shape)) !== 1)
    fail("reshapeLike", `${formatShape(x.shape)} does not hold as many values as ${formatShape(shape)}`);
  const graph = graphOf(x, like);
  const leading = graph.node("Shape", [like], [{ dtype: "int64", shape: [like.shape.length] }])[0]!;
  const wanted = graph.node("Concat", [leading, int64s(x, tail)], [{ dtype: "int64", shape: [shape.length] }], {
    axis: 0,
  })[0]!;
  return graph.node("Reshape", [x, wanted], [{ dtype: x.dtype, shape }])[0]!;
}

/** Adds a dimension of size 1. */
export function unsqueeze(x: Var, axis: number): Var {
  const shape = [...x.shape];
  shape.splice(axis < 0 ? axis + x.shape.length + 1 : axis, 0, 1);
  return graphOf(x).node("Unsqueeze", [x, int64s(x, [axis])], [{ dtype: x.dtype, shape }])[0]!;
}

/** Removes a dimension of size 1. */
export function squeeze(x: Var, axis: number): Var {
  const at = normalAxis("squeeze", x, axis);
  if (x.shape[at] !== 1) fail("squeeze", `axis ${axis} of ${formatShape(x.shape)} is not 1`);
  const shape = x.shape.filter((_, i) => i !== at);
  return graphOf(x).node("Squeeze", [x, int64s(x, [axis])], [{ dtype: x.dtype, shape }])[0]!;
}

/** Dimensions in another order. */
export function transpose(x: Var, permutation: readonly number[]): Var {
  if ([...permutation].sort((a, b) => a - b).some((axis, i) => axis !== i) || permutation.length !== x.shape.length)
    fail("transpose", `[${permutation.join(",")}] is no permutation of the dimensions of ${formatShape(x.shape)}`);
  const shape = permutation.map((axis) => x.shape[axis]!);
  return graphOf(x).node("Transpose", [x], [{ dtype: x.dtype, shape }], { perm: permutation })[0]!;
}

/** Values joined along an axis; the other dimensions must agree. */
export function concat(values: readonly Var[], axis: number): Var {
  const [first] = values;
  if (!first) fail("concat", "nothing to join");
  if (values.length === 1) return first;
  const at = normalAxis("concat", first, axis);
  let total = 0;
  for (const value of values) {
    expectDtype("concat", value.name, value, first.dtype);
    const fits =
      value.shape.length === first.shape.length &&
      value.shape.every((dim, i) => i === at || sameDim(dim, first.shape[i]!));
    if (!fits)
      fail("concat", `${formatShape(value.shape)} does not join ${formatShape(first.shape)} along axis ${axis}`);
    total += fixedDim("concat", "the joined dimension", value.shape[at]);
  }
  const shape = first.shape.map((dim, i) => (i === at ? total : dim));
  return graphOf(...values).node("Concat", values, [{ dtype: first.dtype, shape }], { axis: at })[0]!;
}

/** The parts of an axis, of the given sizes. */
export function split(x: Var, sizes: readonly number[], axis: number): readonly Var[] {
  const at = normalAxis("split", x, axis);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (x.shape[at] !== total) fail("split", `parts [${sizes.join(",")}] of axis ${axis} of ${formatShape(x.shape)}`);
  if (sizes.length === 1) return [x];
  const results = sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((dim, i) => (i === at ? size : dim)) }));
  return graphOf(x).node("Split", [x, int64s(x, sizes)], results, { axis: at });
}

/** The values start…end−1 of an axis whose size is a number. */
export function slice(x: Var, axis: number, start: number, end: number): Var {
  const at = normalAxis("slice", x, axis);
  const size = fixedDim("slice", "the sliced dimension", x.shape[at]);
  if (start < 0 || end > size || start > end)
    fail("slice", `${start}…${end} of axis ${axis} of ${formatShape(x.shape)}`);
  if (start === 0 && end === size) return x;
  const shape = x.shape.map((dim, i): Dim => (i === at ? end - start : dim));
  const operands = [int64s(x, [start]), int64s(x, [end]), int64s(x, [at])];
  return graphOf(x).node("Slice", [x, ...operands], [{ dtype: x.dtype, shape }])[0]!;
}

/** Rows of `table` [V,C] by `indices` (any shape) → [...indices, C]. Out-of-range indices fail at run time. */
export function gatherRows(table: Var, indices: Var): Var {
  expectRank("gatherRows", "the table", table, 2);
  expectDtype("gatherRows", "the indices", indices, "int64", "int32");
  const shape = [...indices.shape, table.shape[1]!];
  return graphOf(table, indices).node("Gather", [table, indices], [{ dtype: table.dtype, shape }], { axis: 0 })[0]!;
}

/** Zeros before and after the values of each axis (two counts an axis). */
export function pad(x: Var, before: readonly number[], after: readonly number[]): Var {
  const shape = x.shape.map((dim, i): Dim => {
    const extra = before[i]! + after[i]!;
    return extra === 0 ? dim : fixedDim("pad", "a padded dimension", dim) + extra;
  });
  if ([...before, ...after].every((count) => count === 0)) return x;
  return graphOf(x).node("Pad", [x, int64s(x, [...before, ...after])], [{ dtype: x.dtype, shape }])[0]!;
}
