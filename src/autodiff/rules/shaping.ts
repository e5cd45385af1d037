/** Derivatives of operations that move values: their transposes, which move gradients back. */
import type { Node, Var } from "../../graph/graph.ts";
import { zerosLike } from "../../graph/ops/indexing.ts";
import {
  canReshape,
  concat,
  pad,
  reshape,
  reshapeAs,
  reshapeLike,
  slice,
  sliceAxes,
  sliceExtent,
  split,
  splitLike,
  transpose,
  unsqueeze,
} from "../../graph/ops/shaping.ts";
import type { Dim } from "../../graph/shape.ts";
import {
  type Gradient,
  type Rule,
  type RuleTable,
  constantInts,
  intAttribute,
  ofFirstResult,
  operand,
  sumTo,
} from "../rule.ts";

/** y holds the values of x in another shape: dx = dy in x's. */
const reshaped = (node: Node, dy: Var): readonly Gradient[] => [() => inShapeOf(dy, operand(node, 0))];

/**
 * dy in x's shape. Sizes that are only known when the graph runs come from an input of the graph, if one has them. To
 * ask x itself would keep it in memory until then.
 */
function inShapeOf(dy: Var, x: Var): Var {
  const isNamed = (dim: Dim): boolean => typeof dim === "string";
  const source = x.graph.inputs.find(
    ({ shape }) => shape.length > 1 && shape.every((dim, i) => isNamed(dim) && dim === x.shape[i]),
  );
  const tail = x.shape.slice(source?.shape.length);
  if (!source || tail.some(isNamed) || canReshape(dy, x.shape)) return reshapeAs(dy, x);
  return reshapeLike(dy, source, tail as number[]); // checked in the line above
}

/** y = xᵖ: dx = dy permuted back. */
function transposeRule(node: Node, dy: Var): readonly Gradient[] {
  const rank = dy.shape.length;
  const permutation =
    (node.attributes.perm as readonly number[] | undefined) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return [
    () =>
      transpose(
        dy,
        permutation.map((_, axis) => permutation.indexOf(axis)),
      ),
  ];
}

/** y = x₀ ‖ x₁ ‖ …: dxᵢ = its part of dy. All parts are computed together. */
function concatRule(node: Node, dy: Var): readonly Gradient[] {
  const axis = intAttribute(node, "axis", 0);
  const values = node.inputs.map((_, i) => operand(node, i));
  const sizes = values.map(({ shape }) => shape[axis]);
  const isFixed = (all: readonly (Dim | undefined)[]): all is readonly number[] =>
    all.every((size) => typeof size === "number");
  let parts: readonly Var[] | null = null;
  return values.map((_, i) => () => {
    parts ??= isFixed(sizes) ? split(dy, sizes, axis) : splitLike(dy, values, axis);
    return parts[i]!; // one part an operand
  });
}

/** y₀ ‖ y₁ ‖ … = x: dx = dy₀ ‖ dy₁ ‖ …, with zeros for unused parts. */
const splitRule: Rule = (node, upstream) => [
  () => {
    const axis = intAttribute(node, "axis", 0);
    const parts = upstream.map((dy, i) => dy ?? zerosLike(node.outputs[i]!)); // one gradient a result
    return concat(parts, axis, operand(node, 0).shape[axis]);
  },
];

/** y = every s-th value of a range of x: dx = dy with s − 1 zeros between its values and zeros around, axis by axis. */
function sliceRule(node: Node, dy: Var): readonly Gradient[] {
  return [
    () => {
      const x = operand(node, 0);
      const [starts, ends] = [constantInts(node, 1) ?? [], constantInts(node, 2) ?? []];
      const axes = constantInts(node, 3) ?? starts.map((_, i) => i);
      const steps = constantInts(node, 4) ?? starts.map(() => 1);
      let gradient = dy;
      axes.forEach((axis, i) => {
        const at = axis < 0 ? axis + x.shape.length : axis;
        const size = x.shape[at] as number; // slices are of sizes known when built
        const step = steps[i]!; // one an axis
        const { first, count } = sliceExtent(size, starts[i]!, ends[i]!, step);
        gradient = unslice(gradient, at, size, { first, count, step });
      });
      return gradient;
    },
  ];
}

/** One axis of `sliceRule`: `count` values go to first, first + step, … of `size` values. */
function unslice(dy: Var, axis: number, size: number, at: { first: number; count: number; step: number }): Var {
  const { first, count, step } = at;
  if (count === 0) throw new Error("internal: an empty slice has no gradient to give");
  const stride = Math.abs(step);
  const ascending = step > 0 ? dy : sliceAxes(dy, { starts: [-1], ends: [-count - 1], axes: [axis], steps: [-1] });
  const before = step > 0 ? first : first + (count - 1) * step;
  const spread = stride === 1 ? ascending : spreadOut(ascending, axis, count, stride);
  const counts = (extra: number): number[] => dy.shape.map((_, i) => (i === axis ? extra : 0));
  return pad(spread, counts(before), counts(size - before - (count - 1) * stride - 1));
}

/** stride − 1 zeros between the values of an axis: every value becomes a separate row, which is padded. */
function spreadOut(dy: Var, axis: number, count: number, stride: number): Var {
  const rank = dy.shape.length + 1;
  const behind = Array.from({ length: rank }, (_, i) => (i === axis + 1 ? stride - 1 : 0));
  const padded = pad(
    unsqueeze(dy, axis + 1),
    behind.map(() => 0),
    behind,
  ); // [...,count,stride,...]
  const joined = reshape(
    padded,
    dy.shape.map((dim, i) => (i === axis ? count * stride : dim)),
  );
  return slice(joined, axis, 0, (count - 1) * stride + 1);
}

/** y = x among zeros: dx = the values between them. */
function padRule(node: Node, dy: Var): readonly Gradient[] {
  return [
    () => {
      const counts = constantInts(node, 1) ?? [];
      const x = operand(node, 0);
      return x.shape.reduce<Var>((gradient, dim, axis) => {
        const [before, after] = [counts[axis]!, counts[axis + x.shape.length]!]; // two counts an axis
        return before + after === 0 ? gradient : slice(gradient, axis, before, before + (dim as number));
      }, dy);
    },
  ];
}

export const shapingRules: RuleTable = {
  ...ofFirstResult({
    Reshape: reshaped,
    Squeeze: reshaped,
    Unsqueeze: reshaped,
    Transpose: transposeRule,
    Concat: concatRule,
    Slice: sliceRule,
    Pad: padRule,
    // y = x repeated: dx = the sum over the repetitions
    Expand: (node, dy) => [() => sumTo(dy, operand(node, 0))],
  }),
  Split: splitRule,
};
