/**
 * Reverse-mode differentiation: the gradient of a scalar is built as further nodes of the same graph.
 * One walk visits the nodes from last to first. Each passes the gradient
 * of its result to its operands by its operator's rule (`rules/`).
 * The gradients from all uses of a value are summed.
 * Only nodes between the wanted values and the loss are visited, so
 * a frozen branch costs nothing. Knows no operator and no model.
 */
import { type Graph, GraphError, type Node, type Var } from "../graph/graph.ts";
import { sum } from "../graph/ops/elementwise.ts";
import { zerosLike } from "../graph/ops/indexing.ts";
import { formatShape, sameShape } from "../graph/shape.ts";
import { type Composite, compositeOf } from "./composite.ts";
import { type Gradient, scalarLike } from "./rule.ts";
import { RULES } from "./rules/table.ts";

/**
 * d loss / d value for each value of `wrt`, in its shape and type; zeros where the loss does not depend on it.
 * @param loss a float scalar
 * @param wrt float inputs, weights or inner values of the same graph
 * @throws {GraphError} for an operator without a rule on the path, naming it and the line that built it
 */
export function gradients(loss: Var, wrt: readonly Var[]): Var[] {
  assertDifferentiable(loss, wrt);
  const nodes = [...loss.graph.nodes];
  const active = dependents(nodes, wrt);
  const contributions = new Map<Var, Var[]>([[loss, [scalarLike(loss, 1)]]]);
  const total = (value: Var): Var | null => {
    const parts = contributions.get(value);
    if (!parts) return null;
    const whole = sum(parts);
    contributions.set(value, [whole]);
    return whole;
  };
  for (const node of nodes.toReversed()) {
    const composite = compositeOf(node.outputs[0]!); // every node has a result
    const operands = composite?.operands ?? node.inputs;
    if (!operands.some((value) => value && active.has(value)) && !branchesRead(node, active)) continue;
    const upstream = node.outputs.map((output) => (active.has(output) ? total(output) : null));
    if (upstream.every((dy) => dy === null)) continue;
    const rule = ruleOf(node, composite, upstream);
    operands.forEach((value, i) => {
      if (!value || !active.has(value)) return;
      const part = buildGradient(node, value, i, rule[i]);
      const parts = contributions.get(value);
      if (parts) parts.push(part);
      else contributions.set(value, [part]);
    });
  }
  return wrt.map((value) => total(value) ?? zerosLike(value));
}

function isFloat(value: Var): boolean {
  return value.dtype === "float32" || value.dtype === "float64";
}

function assertDifferentiable(loss: Var, wrt: readonly Var[]): void {
  if (loss.shape.length !== 0 || !isFloat(loss))
    throw new GraphError(`gradients: the loss is ${loss.dtype}${formatShape(loss.shape)}, wanted a float scalar`);
  for (const value of wrt) {
    if (!isFloat(value)) throw new GraphError(`gradients: ${value.name} is ${value.dtype} and has no gradient`);
    if (value.graph !== loss.graph)
      throw new GraphError(`gradients: ${value.name} belongs to graph ${value.graph.name}, not ${loss.graph.name}`);
  }
}

/** All float values that depend on one of `wrt`, including `wrt`. */
function dependents(nodes: readonly Node[], wrt: readonly Var[]): ReadonlySet<Var> {
  const active = new Set(wrt);
  for (const node of nodes)
    if (node.inputs.some((input) => input && active.has(input)) || branchesRead(node, active))
      for (const output of node.outputs) if (isFloat(output)) active.add(output);
  return active;
}

/** Whether a branch of this node reads one of `values`. Branches see them by name. */
function branchesRead(node: Node, values: ReadonlySet<Var>): boolean {
  const branches = Object.values(node.attributes).flatMap((value) =>
    typeof value === "object" && "graph" in value ? [value.graph] : [],
  );
  if (branches.length === 0) return false;
  const names = new Set(Array.from(values, (value) => value.name));
  const reads = (graph: Graph): boolean =>
    graph.nodes.some(
      (inner) => inner.inputs.some((input) => input && names.has(input.name)) || branchesRead(inner, values),
    );
  return branches.some(reads);
}

function ruleOf(node: Node, composite: Composite | undefined, upstream: readonly (Var | null)[]): readonly Gradient[] {
  const [dy] = upstream;
  if (composite && dy) return composite.rule(dy);
  const rule = Object.hasOwn(RULES, node.op) ? RULES[node.op] : undefined;
  if (!rule)
    throw new GraphError(`gradients: ${node.op} at ${node.site} has no derivative rule; add one to src/autodiff/rules`);
  return rule(node, upstream);
}

function buildGradient(node: Node, value: Var, index: number, gradient: Gradient | undefined): Var {
  if (!gradient)
    throw new GraphError(`gradients: ${node.op} at ${node.site} has no derivative with respect to operand ${index}`);
  const built = gradient();
  if (built.dtype !== value.dtype || !sameShape(built.shape, value.shape))
    throw new Error(
      `internal: the rule of ${node.op} gives ${built.dtype}${formatShape(built.shape)} for ${value.dtype}${formatShape(value.shape)}`,
    );
  return built;
}
