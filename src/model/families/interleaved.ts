/**
 * Ernie 4.5 and Helium: Llama whose rotated pairs are neighbours. Defaults of transformers' Ernie4_5Config and
 * HeliumConfig.
 */
import { type RawConfig, readFlag, withDefaults } from "../config/config-reader.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

/** Llama whose rotated pairs are neighbours. */
export function readInterleaved(raw: RawConfig, family: string): ModelConfig {
  const config = readLlama(raw);
  return { ...config, family, ropes: config.ropes.map((rope) => ({ ...rope, isInterleaved: true })) };
}

export function readErnie45(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 103424,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 18,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    head_dim: 128,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 500000,
  };
  const hasBias = readFlag(raw, "use_bias", false);
  const given = { ...withDefaults(raw, defaults), attention_bias: hasBias, mlp_bias: hasBias };
  return readInterleaved(given, "ernie4_5");
}

export function readHelium(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 48000,
    hidden_size: 2560,
    intermediate_size: 7040,
    num_hidden_layers: 24,
    num_attention_heads: 20,
    num_key_value_heads: 20,
    head_dim: 128,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-8,
    rope_theta: 100000,
  };
  return { ...readInterleaved(withDefaults(raw, defaults), "helium"), hasOutputBias: false };
}
