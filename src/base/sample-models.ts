/** The sampling graphs as models, for sessions that are opened beside the serving graph's. Nothing of them lies in a base. */
import { serializeGraph } from "../graph/serialize.ts";
import type { SampleGraph } from "../model/ports.ts";
import { buildSampleGraph } from "../model/sample-graph.ts";

/** @returns an ONNX model; null where a vocabulary of this size has none of this kind (`scan` alone) */
export function sampleModel(kind: SampleGraph, vocabSize: number): Uint8Array | null {
  const graph = buildSampleGraph(kind, vocabSize);
  return graph && serializeGraph(graph);
}
