/**
 * EXAONE 4: norms only on the output of every block, a norm on every head. Where layers slide, the full ones have no
 * positions.
 */
import { type RawConfig, readCount, unsupported, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

/** Defaults of transformers' Exaone4Config. */
export function readExaone4(raw: RawConfig): ModelConfig {
  const defaults = { vocab_size: 102400, intermediate_size: 16384, num_key_value_heads: 32, rms_norm_eps: 1e-5 };
  const config = readLlama({ ...withDefaults(raw, defaults), attention_bias: false, mlp_bias: false });
  const window = raw.sliding_window === null ? null : readCount(raw, "sliding_window", 4096);
  if (typeof raw.sliding_window_pattern === "string" && !Array.isArray(raw.layer_types))
    throw unsupported("sliding_window_pattern", raw.sliding_window_pattern, "a number, or layer_types");
  const pattern = window === null ? 1 : readCount(raw, "sliding_window_pattern", 4);
  const slides = layerTypes(raw, config.numLayers, (layer) => (layer + 1) % pattern !== 0);
  return {
    ...config,
    family: "exaone4",
    blockNorms: "after",
    queryKeyNorm: "head",
    layerRopes: slides.map((does) => (window === null || does ? 0 : null)),
    windows: slides.map((does) => (does ? window : null)),
  };
}
