/** A serving graph that gives what is read of its logits instead of all of them (`device-graph/read-logits.ts` says why). Pure. */
import type { OnnxModel } from "../formats/onnx-proto.ts";
import { Graph } from "../graph/graph.ts";
import { BEST_IDS, IS_WHOLE, ROW_SUMS, blockMaximaPort, logitsPort, wholeLogitsPort } from "../model/ports.ts";
import { readLogits } from "./read-logits.ts";
import { graphPart } from "./graph-part.ts";

/** The graph with `BEST_IDS`, `ROW_SUMS`, blocks' maxima and whole rows as outputs in the place of the logits, and `IS_WHOLE` as an input more. */
export function withReadLogits(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const { name } = logitsPort(0); // for its name
  const info = graph.output.find((one) => one.name === name);
  const vocabSize = info?.type?.tensorType?.shape?.dim[1]?.dimValue;
  if (vocabSize === undefined) throw new Error(`internal: a serving graph without ${name} of a known size`);
  const part = graphPart(reading(vocabSize), "read_logits", NAMES);
  return {
    ...model,
    graph: {
      ...graph,
      node: [...graph.node, ...part.nodes],
      initializer: [...graph.initializer, ...part.constants],
      input: [...graph.input, ...part.inputs.filter((one) => one.name !== name)],
      output: [...graph.output.filter((one) => one !== info), ...part.outputs],
    },
  };
}

/** In the order in which `reading` gives them. */
const NAMES = [BEST_IDS, ROW_SUMS, blockMaximaPort(0), wholeLogitsPort(0)].map(({ name }) => name);

function reading(vocabSize: number): Graph {
  const graph = new Graph("read-logits");
  const [logits, isWhole] = [logitsPort(vocabSize), IS_WHOLE].map(({ name, dtype, shape }) =>
    graph.input(name, dtype, shape),
  );
  const { bestIds, sums, maxima, whole } = readLogits(logits!, isWhole!); // one a port
  for (const one of [bestIds, sums, maxima, whole]) graph.output(one);
  return graph;
}
