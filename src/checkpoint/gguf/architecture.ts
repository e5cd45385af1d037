/**
 * The supported architectures of GGUF files. Each converts llama.cpp's
 * metadata to the `config.json` that the model had or could have had.
 * Values that no file states, such as a pattern of layers or an activation, belong to the architecture and stand here.
 * Source: llama.cpp, conversion/*.py and src/models/*.cpp as of November 2026.
 */
import { AppError, quote } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import {
  type ConfigSource,
  layerTypeNames,
  readShared,
  repeated,
  slidingLayers,
  unsupportedSetting,
} from "./architecture-settings.ts";
import * as further from "./further-architectures.ts";
import type { MetadataReader } from "./metadata-reader.ts";
import { longropeScaling } from "./rope-scaling.ts";

export interface Architecture {
  readonly read: (source: ConfigSource) => Promise<RawConfig>;
  /**
   * Whether rows of q and k that rotate together are neighbours, as in Llama's own code. Ours are half a head apart.
   */
  readonly isTurned: boolean;
  /** Settings with a meaning in this architecture that others do not have. */
  readonly ownSettings?: readonly string[];
  /** The pre-tokenizer to use if the file names none; null: none is known. */
  readonly preTokenizer: string | null;
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { read: readLlama, isTurned: true, preTokenizer: null },
  qwen2: { read: readQwen2, isTurned: false, preTokenizer: "qwen2" },
  qwen3: { read: readQwen3, isTurned: false, preTokenizer: "qwen2" },
  gemma2: { read: readGemma2, isTurned: false, preTokenizer: null },
  gemma3: { read: readGemma3, isTurned: false, preTokenizer: null },
  phi3: { read: readPhi3, isTurned: false, preTokenizer: null },
  smollm3: { read: readSmolLm3, isTurned: true, preTokenizer: "llama-bpe" },
  olmo2: { read: readOlmo2, isTurned: false, preTokenizer: "dbrx" },
  gpt2: { read: readGpt2, isTurned: false, preTokenizer: "gpt-2" },
  gemma: { read: further.readGgufGemma1, isTurned: false, preTokenizer: null },
  granite: {
    read: further.readGgufGranite,
    isTurned: true,
    preTokenizer: null,
    ownSettings: ["logit_scale", "embedding_scale", "residual_scale"],
  },
  exaone4: { read: further.readGgufExaone4, isTurned: false, preTokenizer: "exaone4" },
  seed_oss: { read: further.readGgufSeedOss, isTurned: false, preTokenizer: "seed-coder" },
  starcoder2: { read: further.readGgufStarCoder2, isTurned: false, preTokenizer: "starcoder" },
  "command-r": {
    read: further.readGgufCommandR,
    isTurned: false,
    preTokenizer: "command-r",
    ownSettings: ["logit_scale"],
  },
  arcee: { read: further.readGgufArcee, isTurned: true, preTokenizer: "llama-bpe" },
  mistral3: {
    read: further.readGgufMistral3,
    isTurned: true,
    preTokenizer: "tekken",
    ownSettings: ["attention.temperature_scale", "rope.scaling.yarn_log_multiplier"],
  },
};

/** Settings that change a model's results and that none of these architectures has. */
const FOREIGN_SETTINGS = [
  "expert_count",
  "attention.alibi_bias_max",
  "attention.clamp_kqv",
  "attention.temperature_scale",
  "attention.q_lora_rank",
  "attention.kv_lora_rank",
  "logit_scale",
  "embedding_scale",
  "residual_scale",
  "use_parallel_residual",
  "pooling_type",
  "rope.dimension_sections",
  "rope.scaling.yarn_log_multiplier",
  "dense_2_feat_out",
];

/** @throws {AppError} checkpoint_unsupported, naming the architecture or the setting */
export function architectureOf(metadata: MetadataReader): Architecture {
  const kind = metadata.text("general.type") ?? "model";
  if (kind !== "model")
    throw new AppError(
      "checkpoint_unsupported",
      `${metadata.path} has the type ${quote(kind)} and is not a model. Name the model's own file.`,
    );
  const name = metadata.architecture;
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (!architecture)
    throw new AppError(
      "checkpoint_unsupported",
      `${metadata.path}: the architecture ${quote(name)} is not supported; supported: ${Object.keys(ARCHITECTURES).join(", ")}. Use another model.`,
    );
  const own = architecture.ownSettings ?? [];
  const setting = FOREIGN_SETTINGS.find((key) => metadata.isSet(metadata.own(key)) && !own.includes(key));
  if (setting !== undefined) throw unsupportedSetting(metadata, setting, "files without it");
  if (metadata.flag(metadata.own("attention.causal")) === false)
    throw unsupportedSetting(metadata, "attention.causal", "true");
  return architecture;
}

async function readLlama(source: ConfigSource): Promise<RawConfig> {
  const window = source.metadata.count(source.metadata.own("attention.sliding_window")) ?? 0;
  const shared = await readShared(source, window > 0 ? "mistral" : "llama");
  if (window > 0)
    return { ...shared, architectures: ["MistralForCausalLM"], hidden_act: "silu", sliding_window: window };
  return {
    ...shared,
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    attention_bias: source.hasTensor("blk.0.attn_output.bias"),
    mlp_bias: source.hasTensor("blk.0.ffn_up.bias"),
  };
}

async function readSmolLm3(source: ConfigSource): Promise<RawConfig> {
  return {
    ...(await readShared(source, "smollm3")),
    architectures: ["SmolLM3ForCausalLM"],
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    no_rope_layer_interval: 4,
    use_sliding_window: false,
  };
}

async function readQwen2(source: ConfigSource): Promise<RawConfig> {
  const shared = await readShared(source, "qwen2");
  return { ...shared, architectures: ["Qwen2ForCausalLM"], hidden_act: "silu", use_sliding_window: false };
}

async function readQwen3(source: ConfigSource): Promise<RawConfig> {
  return {
    ...(await readShared(source, "qwen3")),
    architectures: ["Qwen3ForCausalLM"],
    hidden_act: "silu",
    attention_bias: source.hasTensor("blk.0.attn_q.bias"),
    use_sliding_window: false,
  };
}

/** With sliding layers it is OLMo 3, whose sliding layers rotate unscaled. */
async function readOlmo2(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const slides = slidingLayers(metadata);
  if (!slides?.some((does) => does)) {
    const shared = await readShared(source, "olmo2");
    return { ...shared, architectures: ["Olmo2ForCausalLM"], hidden_act: "silu", attention_bias: false };
  }
  const { rope_theta: theta, rope_scaling: scaling, ...shared } = await readShared(source, "olmo3");
  const slidingTheta = metadata.number(metadata.own("rope.freq_base_swa")) ?? theta;
  return {
    ...shared,
    architectures: ["Olmo3ForCausalLM"],
    hidden_act: "silu",
    attention_bias: false,
    sliding_window: metadata.requiredCount(metadata.own("attention.sliding_window")),
    layer_types: layerTypeNames(slides),
    rope_parameters: {
      full_attention: { rope_theta: theta, ...(scaling ?? { rope_type: "default" }) },
      sliding_attention: { rope_theta: slidingTheta, rope_type: "default" },
    },
  };
}

/** Number of layers of Gemma's 27B models. They scale attention scores by width ÷ heads instead of a head's size. */
const WIDE_GEMMA_LAYERS: Readonly<Record<string, number>> = { gemma2: 46, gemma3: 62 };

async function readGemma(source: ConfigSource, modelType: string): Promise<RawConfig> {
  const { metadata } = source;
  const shared = await readShared(source, modelType);
  const isWide = shared.num_hidden_layers === WIDE_GEMMA_LAYERS[metadata.architecture];
  const scale = metadata.number(metadata.own("attention.scale")) ?? 0;
  const width = (shared.hidden_size as number) / (shared.num_attention_heads as number);
  const scalar = isWide ? width : shared.head_dim;
  return {
    ...shared,
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: scale > 0 ? scale ** -2 : scalar,
    attention_bias: false,
  };
}

async function readGemma2(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const shared = await readGemma(source, "gemma2");
  return {
    ...shared,
    architectures: ["Gemma2ForCausalLM"],
    attn_logit_softcapping: metadata.number(metadata.own("attn_logit_softcapping")) ?? 50,
    final_logit_softcapping: metadata.number(metadata.own("final_logit_softcapping")) ?? 30,
    sliding_window: metadata.count(metadata.own("attention.sliding_window")) ?? 4096,
    layer_types: layerTypeNames(slidingLayers(metadata) ?? repeated(shared, 2)),
  };
}

async function readGemma3(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const shared = await readGemma(source, "gemma3_text");
  const window = metadata.count(metadata.own("attention.sliding_window")) ?? 0;
  const slides = window > 0 ? (slidingLayers(metadata) ?? repeated(shared, 6)) : repeated(shared, 1);
  return {
    ...shared,
    architectures: ["Gemma3ForCausalLM"],
    attn_logit_softcapping: null,
    final_logit_softcapping: metadata.number(metadata.own("final_logit_softcapping")) || null,
    rope_theta: metadata.number(metadata.own("rope.freq_base")) ?? 1_000_000,
    rope_local_base_freq: metadata.number(metadata.own("rope.freq_base_swa")) ?? 10000,
    sliding_window: window || 4096,
    layer_types: layerTypeNames(slides),
  };
}

async function readPhi3(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const shared = await readShared(source, "phi3");
  const rotary = metadata.count(metadata.own("rope.dimension_count")) ?? shared.head_dim;
  const maxPositions = shared.max_position_embeddings as number;
  return {
    ...shared,
    architectures: ["Phi3ForCausalLM"],
    hidden_act: "silu",
    partial_rotary_factor: rotary / shared.head_dim,
    original_max_position_embeddings:
      metadata.count(metadata.own("rope.scaling.original_context_length")) ?? maxPositions,
    rope_scaling: await longropeScaling(source, maxPositions),
    sliding_window: metadata.count(metadata.own("attention.sliding_window")) || null,
  };
}

async function readGpt2(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  const count = (key: string): number => metadata.requiredCount(metadata.own(key));
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: source.shapeOf("token_embd.weight")[0] ?? 0,
    n_embd: count("embedding_length"),
    n_inner: metadata.count(metadata.own("feed_forward_length")) ?? null,
    n_layer: count("block_count"),
    n_head: count("attention.head_count"),
    n_positions: count("context_length"),
    n_ctx: count("context_length"),
    layer_norm_epsilon: metadata.number(metadata.own("attention.layer_norm_epsilon")) ?? 1e-5,
    activation_function: "gelu_new",
    tie_word_embeddings: !source.hasTensor("output.weight"),
  };
}
