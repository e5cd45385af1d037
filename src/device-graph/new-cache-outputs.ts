/** A serving graph that gives what a step adds to the KV cache instead of the whole present one (`device-graph/new-cache.ts` says why). Pure. */
import { type OnnxGraph, type OnnxModel, dtypeOfOnnxType } from "../formats/onnx-proto.ts";
import { Graph, type Var } from "../graph/graph.ts";
import { newPositions } from "./new-cache.ts";
import { INPUT_IDS, LAST_POSITIONS, type Port, newCacheNames } from "../model/ports.ts";
import { graphPart } from "./graph-part.ts";

/** @param presents names of the present keys and values among the outputs: of layer 0, of layer 1, … */
export function withNewCacheOutputs(model: OnnxModel, presents: readonly string[]): OnnxModel {
  const { graph } = model;
  /*
   * The last layer first: ONNX Runtime (1.30) orders nodes from the end of the model. So each layer's part runs right behind its attention, and
   * its present cache is given back then. The other way round those of all layers lie in memory at the same time (measured).
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

/** Keys and values of the layers take turns. */
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
