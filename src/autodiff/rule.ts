/**
 * The interface of derivative rules, and helpers to write them. A rule
 * converts the gradient dy of a node's result to the gradients of its operands.
 * It has one function for each operand, called only when that gradient is needed. dy always has the result's shape.
 */
import { type Node, type Var, GraphError } from "../graph/graph.ts";
import { reduceSum } from "../graph/ops/reduce.ts";
import { squeeze } from "../graph/ops/shaping.ts";
import { formatShape, sameDim } from "../graph/shape.ts";

/** Builds the gradient of one operand, in that operand's shape. null: the operand has no gradient. */
export type Gradient = (() => Var) | null;

/**
 * Gradients of a node's operands from those of its results, in the
 * operands' order. A result's gradient is null where it is not needed.
 */
export type Rule = (node: Node, upstream: readonly (Var | null)[]) => readonly Gradient[];

/** Rules by operator name. Names of ONNX and of ONNX Runtime's own operators do not collide. */
export type RuleTable = Readonly<Record<string, Rule>>;

/** Rules of operators whose first result alone is differentiable. */
export function ofFirstResult(
  rules: Readonly<Record<string, (node: Node, dy: Var) => readonly Gradient[]>>,
): RuleTable {
  const table: Record<string, Rule> = {};
  for (const [op, rule] of Object.entries(rules))
    table[op] = (node, [dy, ...others]) => {
      if (!dy || others.some((other) => other !== null))
        throw new GraphError(`gradients: ${op} at ${node.site} has a derivative only for its first result`);
      return rule(node, dy);
    };
  return table;
}

/** An operand that the node's operator requires. */
export function operand(node: Node, index: number): Var {
  const value = node.inputs[index];
  if (!value) throw new Error(`internal: ${node.op} at ${node.site} lacks operand ${index}`);
  return value;
}

/** A node's first result. */
export function result(node: Node): Var {
  const [value] = node.outputs;
  if (!value) throw new Error(`internal: ${node.op} at ${node.site} has no result`);
  return value;
}

/** A number in the type of `like`. */
export function scalarLike(like: Var, value: number): Var {
  return like.graph.constant(like.dtype === "float64" ? "float64" : "float32", [], [value]);
}

/**
 * The transpose of broadcasting: `gradient` summed over the dimensions along which `operandValue` was repeated.
 * @throws {GraphError} for a dimension that is only known at run time ("1|M")
 */
export function sumTo(gradient: Var, operandValue: Var): Var {
  const { shape } = operandValue;
  const extra = gradient.shape.length - shape.length;
  const leading = Array.from({ length: extra }, (_, i) => i);
  const repeated: number[] = [];
  shape.forEach((dim, i) => {
    const wide = gradient.shape[i + extra] ?? 1; // extra is at least 0: the operand broadcast to the gradient's shape
    if (sameDim(dim, wide)) return;
    if (dim !== 1)
      throw new GraphError(
        `gradients: whether ${operandValue.name} ${formatShape(shape)} is repeated to ${formatShape(gradient.shape)} is not known before the run`,
      );
    repeated.push(i + extra);
  });
  if (repeated.length === 0) return extra === 0 ? gradient : reduceSum(gradient, { axes: leading, keepDims: false });
  const summed = reduceSum(gradient, { axes: [...leading, ...repeated], keepDims: true });
  return extra === 0 ? summed : squeeze(summed, leading);
}

/** An attribute that is a whole number. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name] ?? fallback;
  if (typeof value !== "number") throw new Error(`internal: ${name} of ${node.op} at ${node.site} is no number`);
  return value;
}

/** An attribute that is a real number. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name];
  if (value === undefined) return fallback;
  if (typeof value !== "object" || !("float" in value))
    throw new Error(`internal: ${name} of ${node.op} at ${node.site} is no real number`);
  return value.float;
}

/** The whole numbers of a constant operand, such as axes and sizes; null where the operand was left out. */
export function constantInts(node: Node, index: number): readonly number[] | null {
  const value = node.inputs[index];
  if (!value) return null;
  const data = value.graph.weights.find((weight) => weight.value === value)?.data;
  if (data?.kind !== "inline")
    throw new GraphError(`gradients: operand ${index} of ${node.op} at ${node.site} has to be a constant`);
  return Array.from(data.tensor.data, Number);
}
