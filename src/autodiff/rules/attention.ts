/** Derivative of rotary positions. */
import type { Node, Var } from "../../graph/graph.ts";
import { rotaryEmbedding } from "../../graph/ops/attention.ts";
import { neg } from "../../graph/ops/elementwise.ts";
import { intAttribute, ofFirstResult, operand } from "../rule.ts";

/** −sin as one node for all layers, because the runtime folds each node into a separate table. */
function negated(sin: Var): Var {
  const known = sin.graph.nodes.find((node) => node.op === "Neg" && node.inputs[0] === sin);
  return known?.outputs[0] ?? neg(sin);
}

/** y = R(φ) x turns every pair by its angle: dx = R(−φ) dy, the same operator with −sin. */
function rotaryGradient(node: Node, dy: Var): Var {
  const [x, positionIds, cos, sin] = [0, 1, 2, 3].map((i) => operand(node, i)) as [Var, Var, Var, Var];
  const numHeads = intAttribute(node, "num_heads", 1);
  const headSize = (x.shape[2] as number) / numHeads; // rotaryEmbedding has checked it
  const rotaryDim = intAttribute(node, "rotary_embedding_dim", headSize);
  const isInterleaved = intAttribute(node, "interleaved", 0) === 1;
  return rotaryEmbedding(dy, positionIds, { cos, sin: negated(sin) }, { numHeads, rotaryDim, headSize, isInterleaved });
}

export const attentionRules = ofFirstResult({
  // The tables get no gradient, because positions are never trained.
  RotaryEmbedding: (node, dy) => [() => rotaryGradient(node, dy), null, null, null],
});
