/**
 * Families that are Llama with a setting or two of their own: Seed-OSS, Code World Model and Hunyuan's dense models.
 * Defaults of the classes of transformers.
 */
import { type RawConfig, readCount, readFlag, readNumber, readObject, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import type { ForeignNames } from "../weight-names.ts";
import { readLlama } from "./llama.ts";

export function readSeedOss(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 155136,
    intermediate_size: 27648,
    num_hidden_layers: 64,
    num_attention_heads: 80,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 524288,
    attention_bias: true,
  };
  const config = readLlama(withDefaults(raw, defaults));
  return { ...config, family: "seed_oss", hasOutputBias: readFlag(raw, "attention_out_bias", false) };
}

/** Llama 3 with sliding layers. */
export function readCwm(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 128256,
    hidden_size: 6144,
    intermediate_size: 21504,
    num_hidden_layers: 64,
    num_attention_heads: 48,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 1_000_000,
  };
  const config = readLlama({ ...withDefaults(raw, defaults), attention_bias: false });
  const slides = layerTypes(raw, config.numLayers, (layer) => layer % 4 !== 0);
  const window = readCount(raw, "sliding_window", 8192);
  return { ...config, family: "cwm", windows: slides.map((does) => (does ? window : null)) };
}

/** A norm on every head, after rotation. A fixed `alpha` stretches the base of the frequencies. */
export function readHunyuan(raw: RawConfig): ModelConfig {
  const defaults = { vocab_size: 290943, rms_norm_eps: 1e-5 };
  const config = readLlama({ ...withDefaults(raw, defaults), mlp_bias: false });
  const settings = readObject(raw, "rope_scaling") ?? readObject(raw, "rope_parameters") ?? {};
  const isStretched = (settings.rope_type ?? settings.type) === "dynamic" && Boolean(settings.alpha);
  const alpha = isStretched ? readNumber(settings, "alpha", 1) : 1;
  const stretch = alpha ** (config.headSize / (config.headSize - 2));
  return {
    ...config,
    family: "hunyuan_v1_dense",
    queryKeyNorm: "head",
    isNormedAfterRotation: true,
    ropes: config.ropes.map((rope) => ({ ...rope, theta: rope.theta * stretch })),
  };
}

export const hunyuanNames: ForeignNames = {
  namesOf: (name) => [name.replace(".q_norm.", ".query_layernorm.").replace(".k_norm.", ".key_layernorm.")],
  isTransposed: () => false,
};
