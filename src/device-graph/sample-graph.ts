/**
 * The sampling graphs of devices: they reduce logits to the few numbers that choosing tokens needs. They are models of
 * their own beside the serving graph. A step then computes only the parts its requests need, and a row can still be
 * fetched whole afterwards. Every operation works within one row, and none of its values depends on the number of rows.
 */
import { Graph, type Var } from "../graph/graph.ts";
import { exp, mul, sub } from "../graph/ops/elementwise.ts";
import { argMax, topK } from "../graph/ops/order.ts";
import { reduceMax, reduceSum } from "../graph/ops/reduce.ts";
import { gatherRows } from "../graph/ops/shaping.ts";
import { serializeGraph } from "../graph/serialize.ts";
import {
  BEST_IDS,
  candidatePorts,
  INVERSE_TEMPERATURES,
  logitsPort,
  type Port,
  ROW_SUMS,
  type SampleGraph,
  UNIT_WEIGHT_SUMS,
  WANTED_ROWS,
  wantedLogitsPort,
  WEIGHT_SUMS,
} from "../model/ports.ts";

export function buildSampleGraph(kind: SampleGraph, vocabSize: number): Graph {
  const graph = new Graph(`sample-${kind}`);
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const logits = input(logitsPort(vocabSize));
  switch (kind) {
    case "best":
      graph.output(argMax(logits), BEST_IDS.name);
      graph.output(reduceSum(logits, { axes: [1], keepDims: false }), ROW_SUMS.name);
      return graph;
    case "top":
      return top(graph, logits, input(INVERSE_TEMPERATURES), vocabSize);
    case "rows":
      graph.output(gatherRows(logits, input(WANTED_ROWS)), wantedLogitsPort(vocabSize).name);
      return graph;
  }
}

function top(graph: Graph, logits: Var, inverseTemperatures: Var, vocabSize: number): Graph {
  const { ids, logits: topLogits } = candidatePorts(vocabSize);
  const candidates = topK(logits, ids.shape[1] as number); // the port's own, a number
  // Relative to the greatest logit, because large logits would overflow.
  const below = sub(logits, reduceMax(logits, { axes: [1], keepDims: true }));
  const total = (x: Var): Var => reduceSum(exp(x), { axes: [1], keepDims: false });
  graph.output(candidates.indices, ids.name);
  graph.output(candidates.values, topLogits.name);
  graph.output(total(mul(below, inverseTemperatures)), WEIGHT_SUMS.name);
  graph.output(total(below), UNIT_WEIGHT_SUMS.name);
  return graph;
}

/** A sampling graph as an ONNX model. */
export function sampleModel(kind: SampleGraph, vocabSize: number): Uint8Array {
  return serializeGraph(buildSampleGraph(kind, vocabSize));
}
