/**
 * Hidden states after the final norm as an output of a serving graph. The stored graph gathers the rows of
 * `LOGIT_ROWS`, norms them and projects them to the vocabulary. The pass adds the same two nodes for the rows of
 * `HIDDEN_ROWS`, so a step without such rows pays nothing. Pure.
 */
import { type OnnxModel, type OnnxNode, onnxTypeOf } from "../formats/onnx-proto.ts";
import { HIDDEN_ROWS, HIDDEN_STATES, LOGIT_ROWS } from "../model/ports.ts";

const NORMS = ["SimplifiedLayerNormalization", "LayerNormalization"];

/** The graph with the further input `HIDDEN_ROWS` and the further output `HIDDEN_STATES`. */
export function withHiddenStates(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const gather = graph.node.find(({ opType, input }) => opType === "Gather" && input[1] === LOGIT_ROWS.name);
  const gathered = gather?.output[0];
  const norm = graph.node.find(({ opType, input }) => NORMS.includes(opType) && input[0] === gathered);
  if (!gather || !norm) throw new Error("internal: a serving graph without a final norm");
  const rows = "hidden_states.rows";
  const nodes: readonly OnnxNode[] = [
    { ...gather, name: rows, input: [gather.input[0] ?? "", HIDDEN_ROWS.name], output: [rows] },
    { ...norm, name: HIDDEN_STATES.name, input: [rows, ...norm.input.slice(1)], output: [HIDDEN_STATES.name] },
  ];
  const [input, output] = [HIDDEN_ROWS, HIDDEN_STATES].map(({ name, dtype, shape }) => ({
    name,
    type: {
      tensorType: { elemType: onnxTypeOf(dtype), shape: { dim: shape.map((dim) => ({ dimParam: String(dim) })) } },
    },
  }));
  return {
    ...model,
    graph: {
      ...graph,
      node: [...graph.node, ...nodes],
      input: [...graph.input, input!], // two ports
      output: [...graph.output, output!],
    },
  };
}
