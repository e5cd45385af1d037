/**
 * Returns only the part of the KV cache that a step adds, for caches in the host's memory. ONNX Runtime's binding
 * (1.30) copies every fetched output, so a fetched cache would be copied in every step. The present cache stays inside
 * the graph. Its owner writes the new positions after the past. The operators come first in this file, then the pass.
 * Pure.
 */
import { dtypeOfOnnxType, type OnnxGraph, type OnnxModel } from "../formats/onnx-proto.ts";
import { fixedDim, Graph, type Var } from "../graph/graph.ts";
import { gatherND } from "../graph/ops/indexing.ts";
import { expand, unsqueeze } from "../graph/ops/shaping.ts";
import { INPUT_IDS, LAST_POSITIONS, newCacheNames, type Port } from "../model/ports.ts";
import { graphPart } from "./graph-part.ts";
import { tokenPositions } from "./plain-attention.ts";

/**
 * @param presents keys or values of every layer after the step, [B,K,S,D]
 * @param tokens [B,T,…]
 * @param lastPositions int32 [B]: the index of each row's last token
 * @returns the step's own part of each, [B,K,T,D]
 */
function newPositions(presents: readonly Var[], tokens: Var, lastPositions: Var): readonly Var[] {
  const numKvHeads = fixedDim("newPositions", "the number of heads", presents[0]?.shape[1]);
  const positions = unsqueeze(tokenPositions(tokens, lastPositions), [1, 3]); // [B,1,T,1]
  const indices = expand(positions, [1, numKvHeads, 1, 1]);
  return presents.map((present) => gatherND(present, indices, 2));
}

/** @param presents names of the present keys and values among the outputs: of layer 0, of layer 1, … */
export function withNewCacheOutputs(model: OnnxModel, presents: readonly string[]): OnnxModel {
  const { graph } = model;
  /**
   * Works from the last layer to the first, because ONNX Runtime (1.30) orders nodes from the end of the model. Each
   * layer's part then runs right after its attention, and its present cache is freed then. In the other order the
   * caches of all layers are in memory at the same time (measured).
   */
  const reversed = presents.toReversed();
  const wanted = reversed.map((_, at) => nameOf(presents.length - 1 - at));
  const added = graphPart(gathering(reversed.map((name) => presentPort(graph, name))), "new_cache", wanted);
  return {
    ...model,
    graph: {
      ...graph,
      node: [...graph.node, ...added.nodes],
      initializer: [...graph.initializer, ...added.constants],
      output: [...graph.output.filter(({ name }) => !presents.includes(name)), ...added.outputs],
    },
  };
}

/** Keys and values alternate, layer by layer. */
function nameOf(present: number): string {
  return newCacheNames(Math.floor(present / 2))[present % 2 === 0 ? "key" : "value"];
}

function gathering(presents: readonly Port[]): Graph {
  const graph = new Graph("new-cache");
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const [tokens, lastPositions] = [input(INPUT_IDS), input(LAST_POSITIONS)];
  for (const added of newPositions(presents.map(input), tokens, lastPositions)) graph.output(added);
  return graph;
}

function presentPort({ output }: OnnxGraph, name: string): Port {
  const type = output.find((info) => info.name === name)?.type?.tensorType;
  const sizes = type?.shape?.dim.map(({ dimValue, dimParam }) => dimValue ?? dimParam ?? "");
  if (!type || sizes?.length !== 4) throw new Error(`internal: ${name} is no cache`);
  return { name, dtype: dtypeOfOnnxType(type.elemType), shape: sizes };
}
