/** Nodes written in the graph language, to be added to an existing model. Pure. */
import type { OnnxNode, OnnxTensor, OnnxValueInfo } from "../formats/onnx-proto.ts";
import type { Graph } from "../graph/graph.ts";
import { toOnnxModel } from "../graph/serialize.ts";

export interface GraphPart {
  readonly nodes: readonly OnnxNode[];
  /** Tensors that the nodes need. */
  readonly constants: readonly OnnxTensor[];
  /** All inputs of the part. Some may exist in the model already. */
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
}

/**
 * A graph as a part of another graph. Its inputs keep their names, and its outputs get the requested ones.
 * @param prefix begins all other names, so that they differ from every other part's
 * @param results names of the graph's outputs, in their order
 */
export function graphPart(graph: Graph, prefix: string, results: readonly string[]): GraphPart {
  const part = toOnnxModel(graph).graph;
  const names = new Map(["", ...part.input.map(({ name }) => name)].map((name) => [name, name]));
  part.output.forEach(({ name }, at) => names.set(name, results[at] ?? ""));
  const named = (name: string): string => names.get(name) ?? `${prefix}.${name}`;
  return {
    nodes: part.node.map((one) => ({
      ...one,
      name: `${prefix}.${one.name}`,
      input: one.input.map(named),
      output: one.output.map(named),
    })),
    constants: part.initializer.map((one) => ({ ...one, name: named(one.name) })),
    inputs: part.input,
    outputs: part.output.map((info) => ({ ...info, name: named(info.name) })),
  };
}
