/**
 * Gemma 2 and the text part of Gemma 3: scaled embeddings, a gate through GELU, and sliding layers.
 * Norms have the factor 1 + w and are on both sides of every block.
 * Defaults of transformers' Gemma2Config and Gemma3TextConfig.
 */
import { readActivation } from "../config/activation.ts";
import {
  type RawConfig,
  readCount,
  readFlag,
  readNumber,
  readObject,
  unsupported,
  withDefaults,
} from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readRope } from "../config/rope-config.ts";
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

/** The settings that both share. */
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
  const byType = readObject(raw, "rope_parameters");
  const isNested = byType !== null && ("full_attention" in byType || "sliding_attention" in byType);
  if (byType !== null && !isNested && Object.keys(byType).length > 0)
    throw unsupported("rope_parameters", byType, "one entry for full_attention and one for sliding_attention");
  const plain = isNested ? { ...raw, rope_parameters: null } : raw;
  const config = readGemma(plain, { vocab_size: 262208, max_position_embeddings: 131072 });
  const pattern = readCount(raw, "sliding_window_pattern", 6);
  const slides = layerTypes(raw, config.numLayers, (layer) => (layer + 1) % pattern !== 0);
  const window = readCount(raw, "sliding_window", 4096);
  return {
    ...config,
    family: "gemma3_text",
    queryKeyNorm: "head",
    logitSoftCap: readCap(raw, "final_logit_softcapping", 0),
    ropes: isNested ? nestedRopes(raw, byType, config.headSize) : separateRopes(raw, config.headSize),
    layerRopes: slides.map((does) => (does ? 1 : 0)),
    windows: slides.map((does) => (does ? window : null)),
  };
}

const FULL_THETA = 1_000_000;
const SLIDING_THETA = 10_000;

/** transformers 5: one entry a layer type. */
function nestedRopes(raw: RawConfig, byType: RawConfig, headSize: number): ModelConfig["ropes"] {
  const rope = (settings: RawConfig, givenTheta: unknown, theta: number): ModelConfig["ropes"][number] =>
    readRope(
      // Of the other keys, only the thetas have a meaning here.
      {
        ...raw,
        rope_scaling: null,
        original_max_position_embeddings: null,
        rope_theta: givenTheta,
        rope_parameters: settings,
      },
      theta,
      headSize,
    );
  const full = { ...readObject(byType, "full_attention"), ...readObject(raw, "rope_scaling") };
  const sliding = { ...readObject(byType, "sliding_attention") };
  return [rope(full, raw.rope_theta, FULL_THETA), rope(sliding, raw.rope_local_base_freq, SLIDING_THETA)];
}

/** transformers 4: the sliding layers keep their own base frequency, unscaled. */
function separateRopes(raw: RawConfig, headSize: number): ModelConfig["ropes"] {
  const sliding = {
    theta: readNumber(raw, "rope_local_base_freq", SLIDING_THETA),
    rotaryDim: headSize,
    scaling: { type: "default" } as const,
  };
  return [readRope(raw, FULL_THETA, headSize), sliding];
}
