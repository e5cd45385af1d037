/**
 * Values of the forward pass that gradients compute again. A value that a gradient reads stays in memory from the
 * forward pass to that gradient. A value that is cheap to compute again does not have to.
 */
import type { Node, Var } from "../graph/graph.ts";
import { add, cast, mul, sigmoid } from "../graph/ops/elementwise.ts";
import { floatAttribute, operand, scalarLike } from "./rule.ts";

/** Builds a value a second time. @param zero is known only when the gradient is: whoever adds it waits for that */
type Builder = (zero: Var) => Var;

const builders = new WeakMap<Var, Builder>();
const made = new WeakMap<Var, Var>();

/** From now on, gradients read the value of `build` instead of `value`. */
export function computeAgain(value: Var, build: Builder): void {
  builders.set(value, build);
}

/**
 * A value as gradients read it: computed again where that is known to be cheap, otherwise the value itself.
 * @param dy the gradient that is multiplied with it
 */
export function again(value: Var, dy: Var): Var {
  const known = made.get(value);
  if (known) return known;
  const { producer } = value;
  const build = builders.get(value) ?? (producer?.op === "QuickGelu" ? quickGeluAgain(producer) : null);
  if (build === null) return value;
  const result = build(zeroAfter(dy));
  made.set(value, result);
  return result;
}

/**
 * 0, once dy is there. Without it the runtime computes a value right after the forward pass, because it orders nodes by
 * their operands alone.
 */
function zeroAfter(dy: Var): Var {
  const [size] = dy.graph.node("Size", [dy], [{ dtype: "int64", shape: [] }]) as [Var];
  return mul(cast(size, dy.dtype), scalarLike(dy, 0));
}

const sigmoids = new WeakMap<Node, Var>();

/** sigmoid(αx) of a QuickGelu, which its own gradient and that of its result's readers share. */
export function quickGeluSigmoid(node: Node, zero: Var | null = null): Var {
  const x = operand(node, 0);
  const alpha = floatAttribute(node, "alpha", 1.702);
  const later = zero === null ? x : add(x, zero);
  const s = sigmoids.get(node) ?? sigmoid(alpha === 1 ? later : mul(later, scalarLike(x, alpha)));
  sigmoids.set(node, s);
  return s;
}

/** x sigmoid(αx) */
function quickGeluAgain(node: Node): Builder {
  return (zero) => mul(operand(node, 0), quickGeluSigmoid(node, zero));
}
