/** A graph as text: one line for each value, for snapshots and for debugging. */
import type { Attribute, Graph, Node, Var } from "./graph.ts";
import { formatShape } from "./shape.ts";

function typed(value: Var): string {
  return `${value.name}: ${value.dtype}${formatShape(value.shape)}`;
}

function formatAttribute(value: Attribute): string | null {
  if (typeof value === "number" || typeof value === "string") return String(value);
  if (Array.isArray(value)) return `[${value.join(",")}]`;
  return "float" in value ? String(value.float) : null;
}

function* nodeLines(node: Node, indent: string): Generator<string> {
  const attributes: string[] = [];
  const branches: [string, Graph][] = [];
  for (const [name, value] of Object.entries(node.attributes)) {
    const text = formatAttribute(value);
    if (text === null) branches.push([name, (value as { graph: Graph }).graph]);
    else attributes.push(`${name}=${text}`);
  }
  const operands = node.inputs.map((input) => input?.name ?? "_").join(", ");
  const suffix = attributes.length ? ` {${attributes.join(" ")}}` : "";
  yield `${indent}${node.outputs.map(typed).join(", ")} = ${node.op}(${operands})${suffix}`;
  for (const [name, branch] of branches) {
    yield `${indent}  ${name}:`;
    yield* graphLines(branch, `${indent}    `);
  }
}

function* graphLines(graph: Graph, indent: string): Generator<string> {
  for (const input of graph.inputs) yield `${indent}input ${typed(input)}`;
  for (const { value, data } of graph.weights) {
    const inline = data.kind === "inline" && data.tensor.data.length <= 8 ? ` = [${data.tensor.data.join(",")}]` : "";
    yield `${indent}weight ${typed(value)}${inline}`;
  }
  for (const node of graph.nodes) yield* nodeLines(node, indent);
  yield `${indent}return ${graph.outputs.map((output) => output.name).join(", ")}`;
}

/** The graph as readable text. Equal graphs give equal text. */
export function printGraph(graph: Graph): string {
  return [`graph ${graph.name}`, ...graphLines(graph, "  ")].join("\n");
}
