/**
 * OLMo 2: norms only on the output of every block, and one over all heads of queries and of keys.
 * OLMo 3 also has sliding layers, whose positions are never scaled. Defaults of Olmo2Config and Olmo3Config.
 */
import { type RawConfig, readCount, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readTypedRopes, withoutTypedRopes } from "../config/typed-ropes.ts";
import { readLlama } from "./llama.ts";

export function readOlmo2(raw: RawConfig): ModelConfig {
  const defaults = { vocab_size: 50304, rms_norm_eps: 1e-5 };
  const config = readLlama({ ...withDefaults(raw, defaults), mlp_bias: false });
  return { ...config, family: "olmo2", blockNorms: "after", queryKeyNorm: "all" };
}

export function readOlmo3(raw: RawConfig): ModelConfig {
  const config = readOlmo2(withoutTypedRopes(raw));
  const slides = layerTypes(raw, config.numLayers, (layer) => (layer + 1) % 4 !== 0);
  const window = readCount(raw, "sliding_window", 4096);
  return {
    ...config,
    family: "olmo3",
    ropes: readTypedRopes(raw, { full: 500_000, sliding: 500_000, slidingKey: "rope_theta" }, config.headSize),
    layerRopes: slides.map((does) => (does ? 1 : 0)),
    windows: slides.map((does) => (does ? window : null)),
  };
}
