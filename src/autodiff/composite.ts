/**
 * Operators too large for one ONNX node: a value built of several nodes whose derivative is written down as a whole, because
 * that is cheaper or more exact than what the rules of its parts add up to.
 */
import type { Var } from "../graph/graph.ts";
import type { Gradient } from "./rule.ts";

/** What a composite value was made of, and how its gradient goes back there. */
export interface Composite {
  /** Everything differentiable it depends on; its nodes read nothing else that is. */
  readonly operands: readonly Var[];
  readonly rule: (dy: Var) => readonly Gradient[];
}

const composites = new WeakMap<Var, Composite>();

/** Declares `value` a composite: the walk goes from it to `operands` and never inside. */
export function declareComposite(value: Var, composite: Composite): Var {
  composites.set(value, composite);
  return value;
}

/** What `value` was declared as. */
export function compositeOf(value: Var): Composite | undefined {
  return composites.get(value);
}
