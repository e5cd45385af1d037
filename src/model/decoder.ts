/**
 * The decoder: embedding, layers of attention and MLP around a residual stream, final norm. The builder of the graph
 * supplies the linear layers (weights, quantisation, adapters) and attention (with or without cache). The serving graph
 * and the training graph therefore share this definition. Rows are flat: [B·T, C].
 */
import type { Var } from "../graph/graph.ts";
import { add, div, geluTanh, mul, relu, silu, tanh } from "../graph/ops/elementwise.ts";
import { gatherRows, reshape, split } from "../graph/ops/shaping.ts";
import { product } from "../graph/shape.ts";
import type { Attend } from "./attention.ts";
import { type LinearGroup, layerGroups } from "./linears.ts";
import type { ModelConfig } from "./config/model-config.ts";
import { type TensorOf, normalize } from "./norms.ts";
import { FINAL_NORM, POSITION_EMBEDDING, layerNorms } from "./weight-names.ts";

/**
 * Cheap steps after a group of linear layers. They are parameters, so that a graph may build them inside a branch, with
 * outer values. A branch without work would otherwise copy its input.
 */
export type Finish = (y: Var) => Var;

const AS_IT_IS: Finish = (y) => y;

/** The parts from which a decoder is built. */
export interface DecoderParts {
  readonly tensor: TensorOf;
  /** A group of linear layers, with the steps after it: x float32 [B·T, dIn] → `finish` of y [B·T, dOut]. */
  readonly linear: (x: Var, group: LinearGroup, finish: Finish) => Var;
  readonly attend: Attend;
}

/**
 * The input of the first layer.
 * @param embedded rows of the embedding, float32 [B·T, C]
 * @param positionIds int64 [B,T]; read where positions are learned
 */
export function scaledEmbedding(config: ModelConfig, embedded: Var, positionIds: Var | null, tensor: TensorOf): Var {
  const scaled = times(embedded, config.embeddingScale);
  if (!config.hasLearnedPositions) return scaled;
  if (!positionIds) throw new Error("internal: learned positions need position ids");
  return add(scaled, gatherRows(tensor(POSITION_EMBEDDING), reshape(positionIds, [product(positionIds.shape)])));
}

/** A factor of 1 costs nothing. */
function times(x: Var, factor: number): Var {
  return factor === 1 ? x : mul(x, x.graph.constant("float32", [], [factor]));
}

/** All layers: float32 [B·T, C] → hidden states before the final norm. */
export function decoderLayers(config: ModelConfig, embedded: Var, parts: DecoderParts): Var {
  const norm = (x: Var, name: string | null): Var => (name === null ? x : normalize(config, x, name, parts.tensor));
  let hidden = embedded;
  for (let layer = 0; layer < config.numLayers; layer++) {
    const groups = layerGroups(config, layer);
    const norms = layerNorms(config, layer);
    const onto =
      (residual: Var, name: string | null): Finish =>
      (y) =>
        add(residual, times(norm(y, name), config.residualScale));
    const normed = norm(hidden, norms.beforeAttention);
    const qkv = parts.linear(normed, groups.qkv, AS_IT_IS);
    const heads = parts.attend(layer, qkv, parts.tensor);
    hidden = parts.linear(heads, groups.output, onto(hidden, norms.afterAttention));
    const mlpInput = config.isParallel ? normed : norm(hidden, norms.beforeMlp);
    const inner = parts.linear(mlpInput, groups.mlpIn, (y) => activated(config, y));
    hidden = parts.linear(inner, groups.down, onto(hidden, norms.afterMlp));
  }
  return hidden;
}

const ACTIVATIONS: Readonly<Record<ModelConfig["activation"], (x: Var) => Var>> = {
  silu,
  gelu_tanh: geluTanh,
  relu2: (x) => {
    const positive = relu(x);
    return mul(positive, positive);
  },
};

/**
 * The MLP's inner values: float32 [B·T, I]. If there is a gate, they are computed from gate and up side by side [B·T,
 * 2I].
 */
function activated({ activation, hasGate, intermediateSize }: ModelConfig, x: Var): Var {
  const activate = ACTIVATIONS[activation];
  if (!hasGate) return activate(x);
  const [gate, up] = split(x, [intermediateSize, intermediateSize], 1) as [Var, Var];
  return mul(activate(gate), up);
}

/** The input of the LM head: the final norm, with the factor of the logits. */
export function headInput(config: ModelConfig, hidden: Var, { tensor }: Pick<DecoderParts, "tensor">): Var {
  return times(normalize(config, hidden, FINAL_NORM, tensor), config.logitScale);
}

/** The logits, capped where the model caps them: cap · tanh(x / cap). */
export function cappedLogits({ logitSoftCap }: Pick<ModelConfig, "logitSoftCap">, logits: Var): Var {
  if (logitSoftCap === 0) return logits;
  const cap = logits.graph.constant("float32", [], [logitSoftCap]);
  return mul(tanh(div(logits, cap)), cap);
}
