/**
 * Gemma and the text part of Gemma 3: scaled embeddings, a gate through GELU, and norms with the factor 1 + w.
 * Gemma 2 and 3 have norms on both sides of every block, and sliding layers.
 * Defaults of transformers' Gemma2Config and Gemma3TextConfig.
 */
import { readActivation } from "../config/activation.ts";
import { type RawConfig, readCount, readFlag, readNumber, unsupported, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readTypedRopes, withoutTypedRopes } from "../config/typed-ropes.ts";
import type { ForeignNames } from "../weight-names.ts";
import { readLlama } from "./llama.ts";

const SHARED_DEFAULTS = {
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  tie_word_embeddings: true,
};

/** The settings that all Gemma models share. */
function readGemma(raw: RawConfig, defaults: RawConfig): ModelConfig {
  if (readFlag(raw, "use_bidirectional_attention", false))
    throw unsupported("use_bidirectional_attention", true, "false");
  const config = readLlama({
    ...withDefaults(raw, { ...SHARED_DEFAULTS, ...defaults }),
    hidden_act: "silu",
    mlp_bias: false,
  });
  return {
    ...config,
    norm: { ...config.norm, offset: 1 },
    blockNorms: "both",
    activation: readActivation(raw, "hidden_activation", "gelu_pytorch_tanh"),
    embeddingScale: Math.sqrt(config.hiddenSize),
    attentionScale: readNumber(raw, "query_pre_attn_scalar", 256) ** -0.5,
  };
}

/** A cap, or none where the key is null. */
function readCap(raw: RawConfig, key: string, fallback: number): number {
  return raw[key] === null || (raw[key] === undefined && fallback === 0) ? 0 : readNumber(raw, key, fallback);
}

/** Defaults of transformers' GemmaConfig. */
export function readGemma1(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 256000,
    hidden_size: 3072,
    intermediate_size: 24576,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    max_position_embeddings: 8192,
  };
  const activation = { hidden_activation: raw.hidden_act ?? null };
  const config = readGemma({ ...withDefaults(raw, defaults), ...activation }, {});
  return { ...config, family: "gemma", blockNorms: "before", attentionScale: config.headSize ** -0.5 };
}

/** VaultGemma: Gemma 2 without norms on the blocks' outputs. */
export function readVaultGemma(raw: RawConfig): ModelConfig {
  return { ...readGemma2(raw), family: "vaultgemma", blockNorms: "before" };
}

export const vaultGemmaNames: ForeignNames = {
  namesOf: (name) => [name.replace("post_attention_layernorm", "pre_feedforward_layernorm")],
  isTransposed: () => false,
};

export function readGemma2(raw: RawConfig): ModelConfig {
  const config = readGemma(raw, { vocab_size: 256000, max_position_embeddings: 8192 });
  const slides = layerTypes(raw, config.numLayers, (layer) => layer % 2 === 0);
  const window = readCount(raw, "sliding_window", 4096);
  return {
    ...config,
    family: "gemma2",
    scoreSoftCap: readCap(raw, "attn_logit_softcapping", 50),
    logitSoftCap: readCap(raw, "final_logit_softcapping", 30),
    windows: slides.map((does) => (does ? window : null)),
  };
}

/**
 * NOTE: Gemma 3 never caps scores, with any `attn_logit_softcapping`. Scaled positions apply only to its full layers.
 */
export function readGemma3(raw: RawConfig): ModelConfig {
  const config = readGemma(withoutTypedRopes(raw), { vocab_size: 262208, max_position_embeddings: 131072 });
  const pattern = readCount(raw, "sliding_window_pattern", 6);
  const slides = layerTypes(raw, config.numLayers, (layer) => (layer + 1) % pattern !== 0);
  const window = readCount(raw, "sliding_window", 4096);
  return {
    ...config,
    family: "gemma3_text",
    queryKeyNorm: "head",
    logitSoftCap: readCap(raw, "final_logit_softcapping", 0),
    ropes: readTypedRopes(
      raw,
      { full: 1_000_000, sliding: 10_000, slidingKey: "rope_local_base_freq" },
      config.headSize,
    ),
    layerRopes: slides.map((does) => (does ? 1 : 0)),
    windows: slides.map((does) => (does ? window : null)),
  };
}
