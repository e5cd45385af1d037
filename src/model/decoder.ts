/**
 * The decoder: embedding, layers of attention and MLP around a residual stream, final norm. How a linear layer computes
 * (weights, quantisation, adapters) and how attention works (cache or none) is given by whoever builds the graph, so the
 * serving graph and the training graph share this definition. Rows are flat: [B·T, C].
 */
import type { Var } from "../graph/graph.ts";
import { add, mul, silu } from "../graph/ops/elementwise.ts";
import { rmsNorm } from "../graph/ops/norm.ts";
import { split } from "../graph/ops/shaping.ts";
import type { Attend } from "./attention.ts";
import { type LinearGroup, layerGroups } from "./linears.ts";
import type { ModelConfig } from "./model-config.ts";
import { FINAL_NORM, layerNorms } from "./weight-names.ts";

/** What a decoder is made of. */
export interface DecoderParts {
  /** A tensor of the checkpoint as float32. */
  readonly tensor: (name: string) => Var;
  /** A group of linear layers: x float32 [B·T, dIn] → [B·T, dOut]. */
  readonly linear: (x: Var, group: LinearGroup) => Var;
  readonly attend: Attend;
}

/** All layers: embedded tokens float32 [B·T, C] → hidden states before the final norm. */
export function decoderLayers(config: ModelConfig, embedded: Var, parts: DecoderParts): Var {
  let hidden = embedded;
  for (let layer = 0; layer < config.numLayers; layer++) {
    const groups = layerGroups(config, layer);
    const norms = layerNorms(layer);
    const attentionInput = rmsNorm(hidden, parts.tensor(norms.attention), config.normEpsilon);
    const heads = parts.attend(layer, parts.linear(attentionInput, groups.qkv));
    hidden = add(hidden, parts.linear(heads, groups.output));
    const mlpInput = rmsNorm(hidden, parts.tensor(norms.mlp), config.normEpsilon);
    const [gate, up] = split(
      parts.linear(mlpInput, groups.gateUp),
      groups.gateUp.members.map((one) => one.dOut),
      1,
    ) as [Var, Var];
    hidden = add(hidden, parts.linear(mul(silu(gate), up), groups.down));
  }
  return hidden;
}

/** The norm before the LM head. */
export function finalNorm(config: ModelConfig, hidden: Var, parts: Pick<DecoderParts, "tensor">): Var {
  return rmsNorm(hidden, parts.tensor(FINAL_NORM), config.normEpsilon);
}
