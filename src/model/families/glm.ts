/**
 * GLM 4 of 9B and less: the leading half of each head turns, pair by neighbouring pair; gate and up are one matrix.
 * The newer model_type, glm4, also has norms on the blocks' outputs. Defaults of transformers' GlmConfig.
 */
import { type RawConfig, withDefaults } from "../config/config-reader.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readPartialRope } from "../config/rope-config.ts";
import type { ForeignNames } from "../weight-names.ts";
import { readLlama } from "./llama.ts";

const DEFAULTS = {
  vocab_size: 151552,
  intermediate_size: 13696,
  num_hidden_layers: 40,
  num_key_value_heads: 2,
  head_dim: 128,
  max_position_embeddings: 131072,
  rms_norm_eps: 1.5625e-7,
  attention_bias: true,
};

export function readGlm(raw: RawConfig): ModelConfig {
  const given = withDefaults(raw, DEFAULTS);
  const whole = { partial_rotary_factor: 1, rope_parameters: null, rope_scaling: null };
  const config = readLlama({ ...given, ...whole, mlp_bias: false });
  const rope = readPartialRope(withDefaults(given, { partial_rotary_factor: 0.5 }), 10000, config.headSize);
  return {
    ...config,
    family: "glm",
    modules: { ...config.modules, mlpIn: ["mlp.gate_up_proj"] },
    ropes: [{ ...rope, isInterleaved: true }],
    hasOutputBias: false,
  };
}

export function readGlm4(raw: RawConfig): ModelConfig {
  return { ...readGlm(raw), family: "glm4", blockNorms: "both" };
}

export const glm4Names: ForeignNames = {
  namesOf: (name) => [
    name
      .replace("post_attention_layernorm", "post_self_attn_layernorm")
      .replace("pre_feedforward_layernorm", "post_attention_layernorm")
      .replace("post_feedforward_layernorm", "post_mlp_layernorm"),
  ],
  isTransposed: () => false,
};
