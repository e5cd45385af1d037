/** The sampling graphs as models, for sessions that are opened beside the serving graph's. Nothing of them lies in a base. */
import { serializeGraph } from "../graph/serialize.ts";
import type { SampleGraph } from "../model/ports.ts";
import { buildSampleGraph } from "./sample-graph.ts";

/** A sampling graph as an ONNX model. */
export function sampleModel(kind: SampleGraph, vocabSize: number): Uint8Array {
  return serializeGraph(buildSampleGraph(kind, vocabSize));
}
