/**
 * Families with LayerNorm: StarCoder 2, StableLM 2, Nemotron (whose norm's factor is 1 + w) and Jais 2. Most have an
 * MLP without a gate. Defaults of the classes of transformers.
 */
import {
  type RawConfig,
  readChoice,
  readCount,
  readFlag,
  readNumber,
  unsupported,
  withDefaults,
} from "../config/config-reader.ts";
import type { LinearModules, ModelConfig } from "../config/model-config.ts";
import { readPartialRope } from "../config/rope-config.ts";
import { readLlama } from "./llama.ts";

const UNGATED: Pick<LinearModules, "mlpIn" | "down"> = { mlpIn: ["mlp.up_proj"], down: "mlp.down_proj" };

/** Llama with a LayerNorm whose epsilon has the name `epsilonKey`. */
function readWithLayerNorm(raw: RawConfig, family: string, epsilonKey: string, offset: 0 | 1 = 0): ModelConfig {
  const norm = { kind: "layer", epsilon: readNumber(raw, epsilonKey, 1e-5), offset } as const;
  return { ...readLlama(raw), family, norm };
}

/** As `readWithLayerNorm`; only a part of each head turns. */
function readPartlyTurned(raw: RawConfig, share: number, ...names: [string, string, (0 | 1)?]): ModelConfig {
  const whole = { partial_rotary_factor: 1, rope_parameters: null, rope_scaling: null };
  const config = readWithLayerNorm({ ...raw, ...whole }, ...names);
  const rope = readPartialRope(withDefaults(raw, { partial_rotary_factor: share }), 10000, config.headSize);
  return { ...config, ropes: [rope] };
}

export function readStarCoder2(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 49152,
    hidden_size: 3072,
    intermediate_size: 12288,
    num_hidden_layers: 30,
    num_attention_heads: 24,
    num_key_value_heads: 2,
    max_position_embeddings: 4096,
    hidden_act: "gelu_pytorch_tanh",
    tie_word_embeddings: true,
  };
  const hasBias = readFlag(raw, "use_bias", true);
  const given = { ...withDefaults(raw, defaults), attention_bias: hasBias, mlp_bias: hasBias };
  const config = readWithLayerNorm(given, "starcoder2", "norm_epsilon");
  const window = (raw.sliding_window ?? null) === null ? null : readCount(raw, "sliding_window", 1);
  return {
    ...config,
    modules: { ...config.modules, mlpIn: ["mlp.c_fc"], down: "mlp.c_proj" },
    hasGate: false,
    windows: config.windows.map(() => window),
  };
}

export function readStableLm(raw: RawConfig): ModelConfig {
  for (const key of ["use_parallel_residual", "qk_layernorm"])
    if (readFlag(raw, key, false)) throw unsupported(key, true, "false");
  const defaults = {
    vocab_size: 50304,
    hidden_size: 2560,
    intermediate_size: 6912,
    max_position_embeddings: 4096,
    num_key_value_heads: 32,
  };
  const given = { ...withDefaults(raw, defaults), head_dim: null, attention_bias: false, mlp_bias: false };
  const config = readPartlyTurned(given, 0.25, "stablelm", "layer_norm_eps");
  return { ...config, hasQkvBias: readFlag(raw, "use_qkv_bias", false) };
}

export function readNemotron(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 256000,
    hidden_size: 6144,
    intermediate_size: 24576,
    num_attention_heads: 48,
    max_position_embeddings: 4096,
    hidden_act: "relu2",
  };
  const config = readPartlyTurned(withDefaults(raw, defaults), 0.5, "nemotron", "norm_eps", 1);
  return { ...config, modules: { ...config.modules, ...UNGATED }, hasGate: false };
}

export function readJais2(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 150272,
    hidden_size: 3328,
    intermediate_size: 26624,
    num_attention_heads: 26,
    head_dim: 128,
    max_position_embeddings: 8192,
    hidden_act: "relu2",
    attention_bias: true,
    mlp_bias: true,
  };
  const config = readWithLayerNorm(withDefaults(raw, defaults), "jais2", "layer_norm_eps");
  return { ...config, modules: { ...config.modules, ...UNGATED }, hasGate: false };
}

/** Arcee: Llama with an MLP without a gate. Its norms are Llama's. */
export function readArcee(raw: RawConfig): ModelConfig {
  const defaults = {
    hidden_size: 2560,
    intermediate_size: 18432,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: "relu2",
  };
  readChoice(raw, "hidden_act", "relu2", ["relu2"]);
  const config = readLlama(withDefaults(raw, defaults));
  return { ...config, family: "arcee", modules: { ...config.modules, ...UNGATED }, hasGate: false };
}
