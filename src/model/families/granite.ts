/**
 * Granite: Llama with a factor on embeddings, scores, blocks and logits. The dense models of Granite 4 are written as a
 * mixture without experts, whose shared MLP is the only one, and some have no positions.
 * Defaults of transformers' GraniteConfig and GraniteMoeHybridConfig.
 */
import { type RawConfig, readCount, readNumber, unsupported } from "../config/config-reader.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

export function readGranite(raw: RawConfig): ModelConfig {
  return {
    ...readLlama(raw),
    family: "granite",
    embeddingScale: readNumber(raw, "embedding_multiplier", 1),
    attentionScale: readNumber(raw, "attention_multiplier", 1),
    residualScale: readNumber(raw, "residual_multiplier", 1),
    logitScale: 1 / readNumber(raw, "logits_scaling", 1),
  };
}

export function readGraniteHybrid(raw: RawConfig): ModelConfig {
  if ((raw.num_local_experts ?? 8) !== 0)
    throw unsupported("num_local_experts", raw.num_local_experts ?? 8, "0: mixtures of experts are not supported");
  const intermediate = readCount(raw, "shared_intermediate_size", 1024);
  const config = readGranite({ ...raw, mlp_bias: false, intermediate_size: intermediate });
  const types = Array.isArray(raw.layer_types) ? (raw.layer_types as readonly unknown[]) : ["linear_attention"];
  const other = types.find((type) => type !== "attention" && type !== "full_attention");
  if (other !== undefined || types.length !== config.numLayers)
    throw unsupported("layer_types", raw.layer_types, "attention in every layer: state spaces are not supported");
  const turns = raw.position_embedding_type === "rope";
  const { modules, layerRopes } = config;
  return {
    ...config,
    family: "granitemoehybrid",
    modules: { ...modules, mlpIn: ["shared_mlp.input_linear"], down: "shared_mlp.output_linear" },
    ropes: turns ? config.ropes : [],
    layerRopes: layerRopes.map((at) => (turns ? at : null)),
  };
}
