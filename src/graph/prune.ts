/** Removes nodes and weights that no result of a graph depends on. */
import type { Graph, Node } from "./graph.ts";

/** The graphs of a node's branches. */
function branchesOf(node: Node): readonly Graph[] {
  return Object.values(node.attributes).flatMap((value) =>
    typeof value === "object" && "graph" in value ? [value.graph] : [],
  );
}

/** Names of all values that a node reads, including those of its branches, which see outer values by name. */
function* namesRead(node: Node): Generator<string> {
  for (const input of node.inputs) if (input) yield input.name;
  for (const branch of branchesOf(node)) {
    for (const inner of branch.nodes) yield* namesRead(inner);
    for (const output of branch.outputs) yield output.name;
  }
}

/**
 * Drops the nodes and weights that none of the graph's outputs needs. Inputs stay, because they are the graph's
 * contract.
 */
export function pruneGraph(graph: Graph): void {
  const needed = new Set(graph.outputs.map((output) => output.name));
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output.name))) continue;
    kept.push(node);
    for (const name of namesRead(node)) needed.add(name);
  }
  graph.nodes.splice(0, graph.nodes.length, ...kept.toReversed());
  graph.weights.splice(0, graph.weights.length, ...graph.weights.filter((weight) => needed.has(weight.value.name)));
}
