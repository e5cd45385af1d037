/**
 * Qwen2: Llama with biases on q, k and v, and optional windows from some layer
 * on. Qwen3: a norm on every head of queries and keys instead of the biases.
 * Defaults of transformers' Qwen2Config and Qwen3Config.
 */
import { type RawConfig, readCount, readFlag, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

const DEFAULTS = {
  vocab_size: 151936,
  intermediate_size: 22016,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
};

export function readQwen2(raw: RawConfig): ModelConfig {
  const config = readLlama({ ...withDefaults(raw, DEFAULTS), attention_bias: false, mlp_bias: false });
  return { ...config, family: "qwen2", hasQkvBias: true, windows: readWindows(raw, config.numLayers) };
}

export function readQwen3(raw: RawConfig): ModelConfig {
  const config = readLlama({ ...withDefaults(raw, { ...DEFAULTS, head_dim: 128 }), mlp_bias: false });
  return { ...config, family: "qwen3", queryKeyNorm: "head", windows: readWindows(raw, config.numLayers) };
}

/**
 * `layer_types` overrides `max_window_layers`. Without `use_sliding_window` there is no window, even if these settings
 * name sliding layers.
 */
function readWindows(raw: RawConfig, numLayers: number): readonly (number | null)[] {
  const isOn = readFlag(raw, "use_sliding_window", false);
  const window = raw.sliding_window === null ? null : readCount(raw, "sliding_window", 4096);
  const first = typeof raw.max_window_layers === "number" ? raw.max_window_layers : 28;
  const slides = layerTypes(raw, numLayers, (layer) => layer >= first);
  return slides.map((does) => (isOn && does ? window : null));
}
