/**
 * A graph that measures a Mo-SARA adapter. Input: one whole sequence.
 * Outputs: logits of chosen rows and the sum of every router's gates.
 * float32, without a cache. For measuring, not for serving.
 */
import type { Adapter } from "../../adapter/adapter.ts";
import { moSaraDelta, plainBasis, sharedGates } from "../../adapter/mo-sara.ts";
import { Graph, type Var } from "../../graph/graph.ts";
import { add, cast, mul } from "../../graph/ops/elementwise.ts";
import { linear, matMul } from "../../graph/ops/linear.ts";
import { reduceSum } from "../../graph/ops/reduce.ts";
import { concat, gatherRows, reshape, slice, transpose } from "../../graph/ops/shaping.ts";
import { toFloat32 } from "../../tensor/host-tensor.ts";
import { type Finish, cappedLogits, decoderLayers, headInput, scaledEmbedding } from "../decoder.ts";
import type { Linear, LinearGroup } from "../linears.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { ROWS } from "../ports.ts";
import type { StoredBasis } from "../serve/serve-bases.ts";
import { differentiableAttention } from "./train-attention.ts";
import { TRAIN_IDS, TRAIN_POSITIONS } from "./train-ports.ts";
import { EMBEDDING, LM_HEAD, linearBias, linearWeight } from "../weight-names.ts";
import { GraphWeights, type TensorSource, fromFile } from "../weights.ts";

/** The input besides `TRAIN_IDS` and `TRAIN_POSITIONS` [B,T]: the flat rows whose logits are wanted, int64 [N]. */
export const PROBE_ROWS = "logit_rows";
/** float32 [N,V] */
export const PROBE_LOGITS = "logits";
/** Sum of the gates over all rows, float32 [n]. */
export const gateSum = (target: string): string => `gates.${target}`;

export interface ProbeGraphOptions {
  readonly config: ModelConfig;
  readonly source: TensorSource;
  readonly adapter: Adapter;
  /** Of the adapter's targets. */
  readonly bases: readonly StoredBasis[];
}

export function buildProbeGraph({ config, source, adapter, bases }: ProbeGraphOptions): Graph {
  const graph = new Graph("probe");
  const inputIds = graph.input(TRAIN_IDS.name, "int64", ["B", "T"]);
  const positionIds = graph.input(TRAIN_POSITIONS.name, "int64", ["B", "T"]);
  const rows = graph.input(PROBE_ROWS, "int64", ["N"]);
  const weights = new GraphWeights(graph, source);
  const tensor = (name: string): Var => weights.float32(name);
  const adapted = adaptedLinear(graph, adapter, bases);
  const one = (x: Var, layer: Linear): Var => {
    const y = linear(x, tensor(linearWeight(layer.name)), layer.hasBias ? tensor(linearBias(layer.name)) : null);
    return adapted(x, y, layer.name);
  };
  const parts = {
    tensor,
    linear: (x: Var, group: LinearGroup, finish: Finish): Var => {
      const outputs = group.members.map((layer) => one(x, layer));
      return finish(concat(outputs, 1));
    },
    attend: differentiableAttention(graph, config, config.maxPositions, { inputIds, positionIds }),
  };
  const table = cast(gatherRows(weights.stored(EMBEDDING), reshape(inputIds, [ROWS])), "float32");
  const hidden = decoderLayers(config, scaledEmbedding(config, table, positionIds, tensor), parts);
  const normed = headInput(config, gatherRows(hidden, rows), parts);
  const head = tensor(weights.has(LM_HEAD) ? LM_HEAD : EMBEDDING);
  graph.output(cappedLogits(config, linear(normed, head)), PROBE_LOGITS);
  return graph;
}

/** Adds the adapter's delta to a layer's output where it has one, and outputs the sum of its gates. */
function adaptedLinear(
  graph: Graph,
  adapter: Adapter,
  bases: readonly StoredBasis[],
): (x: Var, y: Var, name: string) => Var {
  const targets = new Map(adapter.targets.map((target) => [target.name, target]));
  const places = new Map(bases.map((basis) => [basis.name, basis]));
  return (x, y, name) => {
    const target = targets.get(name);
    const place = places.get(name);
    if (!target) return y;
    if (!place) throw new Error(`internal: no basis for ${name}`);
    const parameters = Object.fromEntries(
      Object.entries(target.tensors).map(([key, value]) => {
        const float32 = { dtype: "float32" as const, shape: value.shape, data: toFloat32(value) };
        return [key, graph.weight(`${name}.${key}`, "float32", value.shape, { kind: "inline", tensor: float32 })];
      }),
    );
    const leading = (part: "U" | "V"): Var =>
      slice(fromFile(graph, `${name}.${part}`, part === "U" ? place.left : place.right), 1, 0, target.k);
    const basis = { left: transpose(leading("U"), [1, 0]), right: leading("V") };
    const gainsOf = (z: Var): Var => {
      if (adapter.heads === 1) return parameters.lambda!; // every Mo-SARA target has it
      const gates = sharedGates(z, adapter.router, parameters);
      graph.output(reduceSum(gates, { axes: [0], keepDims: false }), gateSum(name));
      return matMul(gates, parameters.lambda!);
    };
    return add(
      y,
      moSaraDelta(x, plainBasis(basis), (z) => mul(z, gainsOf(z)), parameters.v!),
    );
  };
}
