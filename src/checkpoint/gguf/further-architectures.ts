/**
 * Architectures of GGUF files whose models are Llama with a few settings of their own. Source: as `architecture.ts`.
 */
import type { RawConfig } from "../../model/config/config-reader.ts";
import {
  type ConfigSource,
  layerTypeNames,
  readShared,
  slidingLayers,
  unsupportedSetting,
} from "./architecture-settings.ts";

/** Whether the first layer has biases, according to the tensors of the file itself. */
function biases(source: ConfigSource): {
  readonly attention: boolean;
  readonly output: boolean;
  readonly mlp: boolean;
} {
  return {
    attention: source.hasTensor("blk.0.attn_q.bias"),
    output: source.hasTensor("blk.0.attn_output.bias"),
    mlp: source.hasTensor("blk.0.ffn_up.bias"),
  };
}

export async function readGgufGemma1(source: ConfigSource): Promise<RawConfig> {
  const shared = await readShared(source, "gemma");
  return { ...shared, architectures: ["GemmaForCausalLM"], hidden_act: "gelu_pytorch_tanh", attention_bias: false };
}

export async function readGgufGranite(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const factor = (key: string): number => metadata.number(metadata.own(key)) ?? 1;
  const { attention, mlp } = biases(source);
  return {
    ...(await readShared(source, "granite")),
    architectures: ["GraniteForCausalLM"],
    hidden_act: "silu",
    attention_bias: attention,
    mlp_bias: mlp,
    embedding_multiplier: factor("embedding_scale"),
    attention_multiplier: factor("attention.scale"),
    residual_multiplier: factor("residual_scale"),
    logits_scaling: factor("logit_scale"),
  };
}

export async function readGgufExaone4(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const shared = await readShared(source, "exaone4");
  const window = metadata.count(metadata.own("attention.sliding_window")) || null;
  const slides = window === null ? undefined : slidingLayers(metadata);
  const all = Array.from(
    { length: shared.num_hidden_layers as number },
    (_, layer) => window !== null && (layer + 1) % 4 !== 0,
  );
  return {
    ...shared,
    architectures: ["Exaone4ForCausalLM"],
    hidden_act: "silu",
    sliding_window: window,
    layer_types: layerTypeNames(slides ?? all),
  };
}

export async function readGgufSeedOss(source: ConfigSource): Promise<RawConfig> {
  const { attention, output, mlp } = biases(source);
  return {
    ...(await readShared(source, "seed_oss")),
    architectures: ["SeedOssForCausalLM"],
    hidden_act: "silu",
    attention_bias: attention,
    attention_out_bias: output,
    mlp_bias: mlp,
  };
}

export async function readGgufStarCoder2(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  return {
    ...(await readShared(source, "starcoder2")),
    architectures: ["Starcoder2ForCausalLM"],
    hidden_act: "gelu_pytorch_tanh",
    norm_epsilon: metadata.number(metadata.own("attention.layer_norm_epsilon")) ?? 1e-5,
    use_bias: biases(source).attention,
    sliding_window: null,
  };
}

export async function readGgufCommandR(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  if (source.hasTensor("blk.0.attn_q_norm.weight"))
    throw unsupportedSetting(metadata, "attn_q_norm", "models without it");
  return {
    ...(await readShared(source, "cohere")),
    architectures: ["CohereForCausalLM"],
    hidden_act: "silu",
    layer_norm_eps: metadata.number(metadata.own("attention.layer_norm_epsilon")) ?? 1e-5,
    logit_scale: metadata.number(metadata.own("logit_scale")) ?? 1,
    attention_bias: biases(source).attention,
    use_qk_norm: false,
  };
}

export async function readGgufArcee(source: ConfigSource): Promise<RawConfig> {
  const { attention, mlp } = biases(source);
  return {
    ...(await readShared(source, "arcee")),
    architectures: ["ArceeForCausalLM"],
    hidden_act: "relu2",
    attention_bias: attention,
    mlp_bias: mlp,
  };
}

/** Ministral 3. The converter states the growth of queries as a temperature, and both magnitudes of yarn as one. */
export async function readGgufMistral3(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const { rope_theta, rope_scaling, ...shared } = await readShared(source, "ministral3");
  const beta = metadata.number(metadata.own("attention.temperature_scale"));
  const magnitude = metadata.number(metadata.own("rope.scaling.yarn_log_multiplier"));
  if (beta === undefined || magnitude === undefined || rope_scaling === null)
    throw unsupportedSetting(metadata, "rope.scaling", "yarn with a temperature");
  return {
    ...shared,
    architectures: ["Ministral3ForCausalLM"],
    hidden_act: "silu",
    sliding_window: null,
    rope_parameters: {
      rope_theta,
      ...(rope_scaling as RawConfig),
      mscale: magnitude,
      mscale_all_dim: magnitude,
      llama_4_scaling_beta: beta,
    },
  };
}
