/** Qwen2: Llama with biases on q, k and v, windows from some layer on when switched on. Defaults of transformers' Qwen2Config. */
import { type RawConfig, readCount, readFlag, withDefaults } from "../config-reader.ts";
import type { ModelConfig } from "../model-config.ts";
import { readLlama } from "./llama.ts";

export function readQwen2(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 151936,
    intermediate_size: 22016,
    num_key_value_heads: 32,
    max_position_embeddings: 32768,
  };
  const config = readLlama({ ...withDefaults(raw, defaults), attention_bias: false, mlp_bias: false });
  return { ...config, family: "qwen2", hasQkvBias: true, windows: readWindows(raw, config.numLayers) };
}

/** `layer_types` outranks `max_window_layers`; without `use_sliding_window` there is no window whatever they say. */
function readWindows(raw: RawConfig, numLayers: number): readonly (number | null)[] {
  const isOn = readFlag(raw, "use_sliding_window", false);
  const window = raw.sliding_window === null ? null : readCount(raw, "sliding_window", 4096);
  const types = Array.isArray(raw.layer_types) ? (raw.layer_types as readonly unknown[]) : null;
  const first = typeof raw.max_window_layers === "number" ? raw.max_window_layers : 28;
  return Array.from({ length: numLayers }, (_, layer) => {
    const slides = types ? types[layer] === "sliding_attention" : layer >= first;
    return isOn && slides ? window : null;
  });
}
