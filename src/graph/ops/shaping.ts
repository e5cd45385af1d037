/** Operations that move values without changing them. Source: ONNX operators, opset 21. */
import { type Var, expectDtype, expectRank, fail, fixedDim, graphOf } from "../graph.ts";
import { type Dim, type Shape, broadcast, formatShape, product, quotient, sameDim, sameShape } from "../shape.ts";

function normalAxis(op: string, x: Var, axis: number): number {
  const normal = axis < 0 ? axis + x.shape.length : axis;
  if (normal < 0 || normal >= x.shape.length) fail(op, `axis ${axis} of ${formatShape(x.shape)}`);
  return normal;
}

/** The sizes of a value, known when the graph runs: int64 [rank]. */
export function shapeOf(x: Var): Var {
  return graphOf(x).node("Shape", [x], [{ dtype: "int64", shape: [x.shape.length] }])[0]!;
}

const int64s = (like: Var, values: readonly number[]): Var => graphOf(like).constant("int64", [values.length], values);

/** Reshape's sizes for a shape, or null where they cannot be constants. 0 copies a size, −1 is the remaining one. */
function reshapeSizes(x: Var, shape: Shape): readonly number[] | null {
  const isCopied = (dim: Dim, i: number): boolean => x.shape[i] !== undefined && sameDim(dim, x.shape[i]);
  const isAlone = shape.filter((dim) => typeof dim === "string").length === 1;
  const sizes = shape.map((dim, i) => (typeof dim === "number" ? dim : !isAlone && isCopied(dim, i) ? 0 : -1));
  return sizes.filter((size) => size === -1).length > 1 ? null : sizes;
}

/** Whether `reshape` can give x that shape: its sizes are constants, whatever the names stand for. */
export function canReshape(x: Var, shape: Shape): boolean {
  return reshapeSizes(x, shape) !== null;
}

/**
 * The same values in another shape of equal size. At most one named dimension may change its place (for more:
 * `reshapeLike`).
 */
export function reshape(x: Var, shape: Shape): Var {
  if (!sameDim(product(x.shape), product(shape)))
    fail("reshape", `${formatShape(x.shape)} does not hold as many values as ${formatShape(shape)}`);
  const sizes = reshapeSizes(x, shape);
  if (!sizes)
    fail(
      "reshape",
      `only one dimension of ${formatShape(shape)} may be a new name for ${formatShape(x.shape)}; use reshapeLike`,
    );
  return graphOf(x).node("Reshape", [x, int64s(x, sizes)], [{ dtype: x.dtype, shape }])[0]!;
}

/** The same values in the shape of `like`, with any named dimensions. */
export function reshapeAs(x: Var, like: Var): Var {
  if (sameShape(x.shape, like.shape)) return x;
  if (!sameDim(product(x.shape), product(like.shape)))
    fail("reshapeAs", `${formatShape(x.shape)} does not hold as many values as ${formatShape(like.shape)}`);
  if (canReshape(x, like.shape)) return reshape(x, like.shape);
  return graphOf(x, like).node("Reshape", [x, shapeOf(like)], [{ dtype: x.dtype, shape: like.shape }])[0]!;
}

/**
 * The same values with the leading dimensions of `like` (named ones included) before `tail`. The remaining size must
 * fit.
 * @param sizes `sizesLike(like, tail)`, where several values share it
 */
export function reshapeLike(x: Var, like: Var, tail: readonly number[], sizes = sizesLike(like, tail)): Var {
  const shape = [...like.shape, ...tail];
  if (quotient(product(x.shape), product(shape)) !== 1)
    fail("reshapeLike", `${formatShape(x.shape)} does not hold as many values as ${formatShape(shape)}`);
  return graphOf(x, sizes).node("Reshape", [x, sizes], [{ dtype: x.dtype, shape }])[0]!;
}

/** The sizes of `like`, then `tail`, known when the graph runs; in the graph of `like`. int64 [rank + tail's] */
export function sizesLike(like: Var, tail: readonly number[]): Var {
  const results = [{ dtype: "int64" as const, shape: [like.shape.length + tail.length] }];
  return like.graph.node("Concat", [shapeOf(like), int64s(like, tail)], results, { axis: 0 })[0]!;
}

/** The last axis but one as two, [..., parts, …, S], with any named dimensions after and before them. */
export function splitRows(x: Var, parts: number): Var {
  const [rows, last] = x.shape.slice(-2) as [Dim, Dim];
  const size = quotient(rows, parts);
  if (size === null) fail("splitRows", `${parts} parts of ${formatShape(x.shape)}`);
  const before = x.shape.slice(0, -2);
  const fixed = int64s(x, [...before.map(() => 0), parts, -1]);
  const results = [{ dtype: "int64" as const, shape: [x.shape.length + 1] }];
  const sizes = graphOf(x).node("Concat", [fixed, slicedShape(x, x.shape.length - 1)], results, { axis: 0 })[0]!;
  return graphOf(x).node("Reshape", [x, sizes], [{ dtype: x.dtype, shape: [...before, parts, size, last] }])[0]!;
}

/** Adds dimensions of size 1, at these axes of the result. */
export function unsqueeze(x: Var, axis: number | readonly number[]): Var {
  const axes = typeof axis === "number" ? [axis] : axis;
  const rank = x.shape.length + axes.length;
  const places = axes.map((one) => (one < 0 ? one + rank : one)).sort((a, b) => a - b);
  if (places.some((place, i) => place < 0 || place >= rank || place === places[i - 1]))
    fail("unsqueeze", `axes [${axes.join(",")}] of a result with ${rank} dimensions`);
  const shape = [...x.shape];
  for (const place of places) shape.splice(place, 0, 1);
  return graphOf(x).node("Unsqueeze", [x, int64s(x, axes)], [{ dtype: x.dtype, shape }])[0]!;
}

/** Removes dimensions of size 1. */
export function squeeze(x: Var, axis: number | readonly number[]): Var {
  const axes = typeof axis === "number" ? [axis] : axis;
  const places = axes.map((one) => normalAxis("squeeze", x, one));
  for (const place of places)
    if (x.shape[place] !== 1) fail("squeeze", `axis ${place} of ${formatShape(x.shape)} is not 1`);
  const shape = x.shape.filter((_, i) => !places.includes(i));
  return graphOf(x).node("Squeeze", [x, int64s(x, axes)], [{ dtype: x.dtype, shape }])[0]!;
}

/** Dimensions in another order. */
export function transpose(x: Var, permutation: readonly number[]): Var {
  if ([...permutation].sort((a, b) => a - b).some((axis, i) => axis !== i) || permutation.length !== x.shape.length)
    fail("transpose", `[${permutation.join(",")}] is no permutation of the dimensions of ${formatShape(x.shape)}`);
  const shape = permutation.map((axis) => x.shape[axis]!);
  return graphOf(x).node("Transpose", [x], [{ dtype: x.dtype, shape }], { perm: permutation })[0]!;
}

/**
 * Values joined along an axis; the other dimensions must agree.
 * @param joined name of the joined dimension, where a size of it is a name
 */
export function concat(values: readonly Var[], axis: number, joined?: Dim): Var {
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
    if (typeof joined !== "string") total += fixedDim("concat", "the joined dimension", value.shape[at]);
  }
  const shape = first.shape.map((dim, i) => (i === at ? (typeof joined === "string" ? joined : total) : dim));
  return graphOf(...values).node("Concat", values, [{ dtype: first.dtype, shape }], { axis: at })[0]!;
}

/** The values that were joined to x along this axis, where they have these sizes. */
function joinedParts(x: Var, sizes: readonly number[], at: number): readonly Var[] | null {
  const join = x.producer;
  if (join?.op !== "Concat" || join.attributes.axis !== at || join.inputs.length !== sizes.length) return null;
  return join.inputs.every((part, i) => part?.shape[at] === sizes[i]) ? (join.inputs as readonly Var[]) : null;
}

/**
 * The parts of an axis, of the given sizes. Where x was joined from exactly these parts, the original parts are
 * returned.
 */
export function split(x: Var, sizes: readonly number[], axis: number): readonly Var[] {
  const at = normalAxis("split", x, axis);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (x.shape[at] !== total) fail("split", `parts [${sizes.join(",")}] of axis ${axis} of ${formatShape(x.shape)}`);
  if (sizes.length === 1) return [x];
  const parts = joinedParts(x, sizes, at);
  if (parts) return parts;
  const results = sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((dim, i) => (i === at ? size : dim)) }));
  return graphOf(x).node("Split", [x, int64s(x, sizes)], results, { axis: at });
}

/**
 * The parts of an axis, as long as `likes` are along it, with any named dimensions: what `concat` joined of such
 * values.
 */
export function splitLike(x: Var, likes: readonly Var[], axis: number): readonly Var[] {
  const at = normalAxis("splitLike", x, axis);
  const sizes = likes.map((like) => slicedShape(like, at));
  const results = likes.map((like) => ({
    dtype: x.dtype,
    shape: x.shape.map((dim, i) => (i === at ? like.shape[at]! : dim)),
  }));
  const joined = graphOf(x).node("Concat", sizes, [{ dtype: "int64", shape: [likes.length] }], { axis: 0 })[0]!;
  return graphOf(x).node("Split", [x, joined], results, { axis: at });
}

/** The size of one dimension, known when the graph runs: int64 [1]. */
function slicedShape(x: Var, axis: number): Var {
  const at = normalAxis("splitLike", x, axis);
  const results = [{ dtype: "int64" as const, shape: [1] }];
  return graphOf(x).node("Slice", [shapeOf(x), int64s(x, [at]), int64s(x, [at + 1])], results)[0]!;
}

/** The one row of x [1,…] as many times as `like` has rows, with any named dimensions. */
export function repeatRow(x: Var, like: Var): Var {
  const [one, ...others] = x.shape;
  if (one !== 1 || like.shape[0] === undefined)
    fail("repeatRow", `${formatShape(x.shape)} by the rows of ${formatShape(like.shape)}`);
  const ones = int64s(
    x,
    others.map(() => 1),
  );
  const vector = [{ dtype: "int64" as const, shape: [x.shape.length] }];
  const sizes = graphOf(x, like).node("Concat", [slicedShape(like, 0), ones], vector, { axis: 0 })[0]!;
  return graphOf(x).node("Expand", [x, sizes], [{ dtype: x.dtype, shape: [like.shape[0], ...others] }])[0]!;
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

/**
 * A part of several axes, as in ONNX's Slice: negative bounds count
 * from the end, bounds past the end are cut, steps may be negative.
 */
export interface SliceBounds {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly axes: readonly number[];
  readonly steps: readonly number[];
}

/** Every `steps`-th value from `starts` to before `ends` of each of `axes`, whose sizes are numbers. */
export function sliceAxes(x: Var, { starts, ends, axes, steps }: SliceBounds): Var {
  const shape: Dim[] = [...x.shape];
  axes.forEach((axis, i) => {
    const at = normalAxis("sliceAxes", x, axis);
    const size = fixedDim("sliceAxes", "a sliced dimension", x.shape[at]);
    shape[at] = sliceExtent(size, starts[i]!, ends[i]!, steps[i]!).count; // the four lists are of one length
  });
  const operands = [starts, ends, axes, steps].map((values) => int64s(x, values));
  return graphOf(x).node("Slice", [x, ...operands], [{ dtype: x.dtype, shape }])[0]!;
}

/** The first index and the number of values in a slice of an axis of `size` values. Source: ONNX Slice-13. */
export function sliceExtent(size: number, start: number, end: number, step: number): { first: number; count: number } {
  if (step === 0) fail("sliceAxes", "a step of 0");
  const clamp = (bound: number, low: number, high: number): number =>
    Math.min(Math.max(bound < 0 ? bound + size : bound, low), high);
  const first = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const last = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
}

/** x repeated along dimensions of size 1 and new leading ones, to the shape that it and `shape` broadcast to. */
export function expand(x: Var, shape: readonly number[]): Var {
  const wanted = broadcast(x.shape, shape);
  if (!wanted) fail("expand", `${formatShape(x.shape)} does not broadcast with ${formatShape(shape)}`);
  return graphOf(x).node("Expand", [x, int64s(x, shape)], [{ dtype: x.dtype, shape: wanted }])[0]!;
}

/** x repeated to the shape of `like`, with any named dimensions. */
export function expandAs(x: Var, like: Var): Var {
  if (sameShape(x.shape, like.shape)) return x;
  const wanted = broadcast(x.shape, like.shape);
  if (!wanted || !sameShape(wanted, like.shape))
    fail("expandAs", `${formatShape(x.shape)} does not broadcast to ${formatShape(like.shape)}`);
  const sizes = like.shape.every((dim) => typeof dim === "number") ? int64s(x, like.shape) : shapeOf(like);
  return graphOf(x, like).node("Expand", [x, sizes], [{ dtype: x.dtype, shape: like.shape }])[0]!;
}

/**
 * Rows of `table` [V,C] (or [V,C,…]) by `indices` (any shape) → [...indices, C, …]. Out-of-range indices fail at run
 * time.
 */
export function gatherRows(table: Var, indices: Var): Var {
  if (table.shape.length < 2) expectRank("gatherRows", "the table", table, 2);
  expectDtype("gatherRows", "the indices", indices, "int64", "int32");
  const shape = [...indices.shape, ...table.shape.slice(1)];
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
