/** Derivatives of reductions: dy gets the reduced dimensions back with size 1, and broadcasts. */
import type { Node, Var } from "../../graph/graph.ts";
import { cast, div, equal, mul } from "../../graph/ops/elementwise.ts";
import { numElementsOf } from "../../graph/ops/indexing.ts";
import { reduceSum } from "../../graph/ops/reduce.ts";
import { expandAs, unsqueeze } from "../../graph/ops/shaping.ts";
import { constantInts, intAttribute, ofFirstResult, operand, result } from "../rule.ts";

/** The reduced axes, none negative. */
function axesOf(node: Node): readonly number[] {
  const rank = operand(node, 0).shape.length;
  const axes = constantInts(node, 1) ?? Array.from({ length: rank }, (_, i) => i);
  return axes.map((axis) => (axis < 0 ? axis + rank : axis));
}

/** Gives a value in the result's shape its reduced dimensions back, with size 1. A scalar broadcasts without them. */
function kept(node: Node, value: Var): Var {
  const hasDims = intAttribute(node, "keepdims", 1) === 1 || value.shape.length === 0;
  return hasDims ? value : unsqueeze(value, axesOf(node));
}

/** Number of elements of x ÷ number of elements of y: how many values each mean has. */
const countOf = (node: Node): Var => div(numElementsOf(operand(node, 0)), numElementsOf(result(node)));

export const reduceRules = ofFirstResult({
  // y = Σ x: dx = dy
  ReduceSum: (node, dy) => [() => expandAs(kept(node, dy), operand(node, 0))],
  // y = Σ x / n: dx = dy / n
  ReduceMean: (node, dy) => [() => expandAs(kept(node, div(dy, countOf(node))), operand(node, 0))],
  // y = max x: dx = dy where x = y, shared evenly among equals
  ReduceMax: (node, dy) => [
    () => {
      const x = operand(node, 0);
      const winners = cast(equal(x, kept(node, result(node))), x.dtype);
      const axes = axesOf(node);
      const numWinners = axes.length === 0 ? winners : reduceSum(winners, { axes, keepDims: true });
      return mul(winners, div(kept(node, dy), numWinners));
    },
  ],
});
