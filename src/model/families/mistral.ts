/** Mistral: Llama without biases. Every layer has a sliding window unless it is null. Defaults of transformers' MistralConfig. */
import { type RawConfig, readCount, withDefaults } from "../config/config-reader.ts";
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
