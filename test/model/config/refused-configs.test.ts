/** Configs that would compute something else than the model: each is refused by the name of its key. */
import { describe, expect, it } from "vitest";
import type { RawConfig } from "../../../src/model/config/config-reader.ts";
import { parseModelConfig } from "../../../src/model/families.ts";

const REFUSALS: readonly [string, RawConfig, string, RegExp][] = [
  ["an unknown family", { model_type: "mamba" }, "checkpoint_unsupported", /"mamba".*known:.*llama/],
  ["a mixture", { model_type: "qwen3_moe" }, "checkpoint_unsupported", /"qwen3_moe" \(a mixture of experts\)/],
  ["Granite with experts", { model_type: "granitemoehybrid" }, "checkpoint_unsupported", /num_local_experts = 8/],
  [
    "Granite with state spaces",
    { model_type: "granitemoehybrid", num_local_experts: 0, num_hidden_layers: 2, layer_types: ["mamba", "attention"] },
    "checkpoint_unsupported",
    /layer_types.*attention in every layer/,
  ],
  [
    "a parallel StableLM",
    { model_type: "stablelm", use_parallel_residual: true },
    "checkpoint_unsupported",
    /use_parallel/,
  ],
  [
    "a family that is a property of every object",
    { model_type: "constructor" },
    "checkpoint_unsupported",
    /"constructor"/,
  ],
  ["no family", {}, "checkpoint_unsupported", /model_type undefined/],
  ["quantised weights", { quantization_config: { bits: 4 } }, "checkpoint_unsupported", /quantization_config/],
  [
    "another activation of Gemma",
    { model_type: "gemma2", hidden_activation: "relu" },
    "checkpoint_unsupported",
    /hidden_activation = "relu"/,
  ],
  ["another activation", { hidden_act: "gelu" }, "checkpoint_unsupported", /hidden_act = "gelu".*silu/],
  [
    "unknown rope scaling",
    { rope_scaling: { type: "spiral", factor: 2 } },
    "checkpoint_unsupported",
    /rope_type = "spiral".*default, linear, dynamic, llama3, yarn, longrope/,
  ],
  [
    "longrope with a factor too few",
    { model_type: "phi3", rope_scaling: { type: "longrope", short_factor: [1], long_factor: [1] } },
    "checkpoint_invalid",
    /short_factor must be a list of 48 numbers, but has 1/,
  ],
  [
    "longrope with a factor that is none",
    { hidden_size: 8, num_attention_heads: 4, rope_scaling: { type: "longrope", short_factor: ["1"] } },
    "checkpoint_invalid",
    /short_factor must be a positive number/,
  ],
  [
    "linear scaling without a factor",
    { rope_scaling: { type: "linear" } },
    "checkpoint_invalid",
    /factor must be a positive number/,
  ],
  [
    "a scaling that Phi-3 reads as longrope",
    { model_type: "phi3", rope_scaling: { type: "yarn", factor: 2 } },
    "checkpoint_unsupported",
    /rope_type = "yarn"/,
  ],
  [
    "layers that Phi-3 would not tell apart",
    {
      model_type: "phi3",
      num_hidden_layers: 2,
      sliding_window: 8,
      layer_types: ["sliding_attention", "full_attention"],
    },
    "checkpoint_unsupported",
    /layer_types/,
  ],
  [
    "positions of Gemma 3 that name no layer type",
    { model_type: "gemma3_text", rope_parameters: { rope_theta: 5, rope_type: "default" } },
    "checkpoint_unsupported",
    /rope_parameters.*full_attention/,
  ],
  [
    "attention of Gemma 3 that looks ahead",
    { model_type: "gemma3_text", use_bidirectional_attention: true },
    "checkpoint_unsupported",
    /use_bidirectional_attention/,
  ],
  [
    "attention of Gemma 2 that looks ahead",
    { model_type: "gemma2", use_bidirectional_attention: true },
    "checkpoint_unsupported",
    /use_bidirectional_attention/,
  ],
  [
    "positions by layer type in a family that has one kind",
    { rope_parameters: { full_attention: { rope_type: "default", rope_theta: 5 } } },
    "checkpoint_unsupported",
    /rope_parameters.*one entry for all layers/,
  ],
  [
    "scores of GPT-2 that are scaled by layer",
    { model_type: "gpt2", scale_attn_by_inverse_layer_idx: true },
    "checkpoint_unsupported",
    /scale_attn_by_inverse_layer_idx/,
  ],
  ["partial rotation", { partial_rotary_factor: 0.5 }, "checkpoint_unsupported", /partial_rotary_factor = 0.5/],
  [
    "rope settings that are no object",
    { rope_scaling: "linear" },
    "checkpoint_invalid",
    /rope_scaling must be an object/,
  ],
  ["an odd head size", { head_dim: 15 }, "checkpoint_invalid", /must be even, found 15/],
  [
    "heads that do not share evenly",
    { num_attention_heads: 6, num_key_value_heads: 4, head_dim: 8 },
    "checkpoint_invalid",
    /6 attention heads do not share 4/,
  ],
  [
    "a flag that is no flag",
    { tie_word_embeddings: "no" },
    "checkpoint_invalid",
    /tie_word_embeddings must be true or false/,
  ],
  ["an epsilon of zero", { rms_norm_eps: 0 }, "checkpoint_invalid", /rms_norm_eps must be a positive number/],
  ["layers beyond any model", { num_hidden_layers: 1_000_000 }, "checkpoint_invalid", /num_hidden_layers must be/],
];

describe("a config is refused by name for", () => {
  it.each(REFUSALS)("%s", (_, change, code, message) => {
    const raw =
      "model_type" in change || Object.keys(change).length === 0 ? change : { model_type: "llama", ...change };
    expect(() => parseModelConfig(raw)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
