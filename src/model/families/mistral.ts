/**
 * Mistral: Llama without biases. Every layer has a sliding window unless it is null. Ministral 3 has none by default,
 * and its queries grow beyond the original positions. Defaults of transformers' MistralConfig and Ministral3Config.
 */
import { type RawConfig, readCount, readNumber, readObject, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

export function readMistral(raw: RawConfig): ModelConfig {
  const defaults = { intermediate_size: 14336, num_key_value_heads: 8, max_position_embeddings: 131072 };
  const config = readLlama({ ...withDefaults(raw, defaults), attention_bias: false, mlp_bias: false });
  // Absent means the class's default of 4096; null means no window.
  const window = raw.sliding_window === null ? null : readCount(raw, "sliding_window", 4096);
  const slides = layerTypes(raw, config.numLayers, () => true);
  return { ...config, family: "mistral", windows: slides.map((does) => (does ? window : null)) };
}

/** Ministral 8B of 2024. */
export function readMinistral(raw: RawConfig): ModelConfig {
  return { ...readMistral(raw), family: "ministral" };
}

export function readMinistral3(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 131072,
    num_hidden_layers: 34,
    head_dim: 128,
    max_position_embeddings: 262144,
    rms_norm_eps: 1e-5,
  };
  const config = readMistral({ ...withDefaults(raw, defaults), sliding_window: raw.sliding_window ?? null });
  const settings = readObject(raw, "rope_parameters") ?? readObject(raw, "rope_scaling") ?? {};
  const queryGrowth = {
    beta: readNumber(settings, "llama_4_scaling_beta", Number.NaN),
    originalMaxPositions: readCount(settings, "original_max_position_embeddings", Number.NaN),
  };
  return { ...config, family: "ministral3", ropes: config.ropes.map((rope) => ({ ...rope, queryGrowth })) };
}
