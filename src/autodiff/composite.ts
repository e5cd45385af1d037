/**
 * Operators too large for one ONNX node: a value built from several nodes that has its own derivative.
 * That derivative is cheaper or more exact than the combined rules of its parts.
 */
import type { Var } from "../graph/graph.ts";
import type { Gradient } from "./rule.ts";

/** The operands of a composite value, and the rule for their gradients. */
export interface Composite {
  /** All differentiable values it depends on. Its nodes read no others. */
  readonly operands: readonly Var[];
  readonly rule: (dy: Var) => readonly Gradient[];
}

const composites = new WeakMap<Var, Composite>();

/** Declares `value` a composite. The walk goes from it to `operands`, never inside. */
export function declareComposite(value: Var, composite: Composite): Var {
  composites.set(value, composite);
  return value;
}

/** The declaration of `value`. */
export function compositeOf(value: Var): Composite | undefined {
  return composites.get(value);
}
