/**
 * Derivatives of reading at indices. Each gradient is added at the position that was read, also if it was read twice.
 */
import type { Node, Var } from "../../graph/graph.ts";
import { gatherElements, scatterAdd, zerosLike } from "../../graph/ops/indexing.ts";
import { expandAs, reshape, unsqueeze } from "../../graph/ops/shaping.ts";
import { product } from "../../graph/shape.ts";
import { type Gradient, intAttribute, ofFirstResult, operand } from "../rule.ts";

/** y = x[…, i, …]: dx = 0, and dx[…, i, …] += dy. */
function gatherRule(node: Node, dy: Var): readonly Gradient[] {
  return [
    () => {
      const [x, indices] = [operand(node, 0), operand(node, 1)];
      const axis = intAttribute(node, "axis", 0);
      const numIndices = product(indices.shape);
      const before = x.shape.slice(0, axis);
      const after = x.shape.slice(axis + 1);
      const isFlat = indices.shape.length === 1;
      const updates = isFlat ? dy : reshape(dy, [...before, numIndices, ...after]);
      const flat = isFlat ? indices : reshape(indices, [numIndices]);
      const column =
        after.length === 0
          ? flat
          : unsqueeze(
              flat,
              after.map((_, i) => i + 1),
            ); // [n,1,…]
      return scatterAdd(zerosLike(x), expandAs(column, updates), updates, axis);
    },
  ];
}

export const indexingRules = ofFirstResult({
  Gather: gatherRule,
  // y[i][j] = x[i][k[i][j]]: dx = 0, and dx[i][k[i][j]] += dy[i][j]
  GatherElements: (node, dy) => [
    () => {
      const x = operand(node, 0);
      return scatterAdd(zerosLike(x), operand(node, 1), dy, intAttribute(node, "axis", 0));
    },
  ],
  // y = x, and y[i][k[i][j]] += u[i][j]: dx = dy, du[i][j] = dy[i][k[i][j]]
  ScatterElements: (node, dy) => {
    if (node.attributes.reduction !== "add") return [];
    return [() => dy, null, () => gatherElements(dy, operand(node, 1), intAttribute(node, "axis", 0))];
  },
});
