/**
 * Command R (cohere) and Command R7B (cohere2): attention and MLP read one LayerNorm without bias, and both are added
 * at once. Rotated pairs are neighbours. Logits have a factor. In cohere2 some layers slide, and the others have no
 * positions. Defaults of transformers' CohereConfig and Cohere2Config.
 */
import { type RawConfig, readCount, readFlag, readNumber, unsupported, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readInterleaved } from "./interleaved.ts";

const DEFAULTS = {
  vocab_size: 256000,
  hidden_size: 8192,
  intermediate_size: 22528,
  num_hidden_layers: 40,
  num_attention_heads: 64,
  num_key_value_heads: 64,
  max_position_embeddings: 8192,
  tie_word_embeddings: true,
};

function readEither(raw: RawConfig, family: string): ModelConfig {
  return {
    ...readInterleaved({ ...withDefaults(raw, DEFAULTS), mlp_bias: false }, family),
    norm: { kind: "centred", epsilon: readNumber(raw, "layer_norm_eps", 1e-5), offset: 0 },
    isParallel: true,
    logitScale: readNumber(raw, "logit_scale", 0.0625),
  };
}

export function readCohere(raw: RawConfig): ModelConfig {
  if (readFlag(raw, "use_qk_norm", false)) throw unsupported("use_qk_norm", true, "false");
  return readEither(withDefaults(raw, { rope_theta: 500000 }), "cohere");
}

export function readCohere2(raw: RawConfig): ModelConfig {
  const config = readEither(withDefaults(raw, { head_dim: 128 }), "cohere2");
  const pattern = readCount(raw, "sliding_window_pattern", 4);
  const slides = layerTypes(raw, config.numLayers, (layer) => (layer + 1) % pattern !== 0);
  const window = raw.sliding_window === null ? null : readCount(raw, "sliding_window", 4096);
  return {
    ...config,
    layerRopes: slides.map((does) => (does && window !== null ? 0 : null)),
    windows: slides.map((does) => (does ? window : null)),
  };
}
