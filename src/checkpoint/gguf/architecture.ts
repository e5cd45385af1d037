/**
 * The supported architectures of GGUF files. Each converts llama.cpp's
 * metadata to the `config.json` that the model had or could have had.
 * Values that no file states, such as a pattern of layers or an activation, belong to the architecture and stand here.
 * Source: llama.cpp, conversion/*.py and src/models/*.cpp as of November 2026.
 */
import { AppError } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import type { MetadataReader } from "./metadata-reader.ts";
import { frequencyScaling, longropeScaling, metadataScaling } from "./rope-scaling.ts";

/** The inputs from which a configuration is read. */
export interface ConfigSource {
  readonly metadata: MetadataReader;
  hasTensor(name: string): boolean;
  /** Outermost dimension first. @throws {AppError} checkpoint_invalid where no tensor has that name */
  shapeOf(name: string): readonly number[];
  /** A small tensor of factors. */
  readFactors(name: string): Promise<Float32Array>;
}

export interface Architecture {
  readonly read: (source: ConfigSource) => Promise<RawConfig>;
  /** Whether rows of q and k that rotate together are neighbours, as in Llama's own code. Ours are half a head apart. */
  readonly isTurned: boolean;
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
      `${metadata.path} has the type ${JSON.stringify(kind)} and is not a model. Name the model's own file.`,
    );
  const name = metadata.architecture;
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (!architecture)
    throw new AppError(
      "checkpoint_unsupported",
      `${metadata.path}: the architecture ${JSON.stringify(name)} is not supported; supported: ${Object.keys(ARCHITECTURES).join(", ")}. Use another model.`,
    );
  const setting = FOREIGN_SETTINGS.find((key) => metadata.isSet(metadata.own(key)));
  if (setting !== undefined) throw unsupported(metadata, setting, "files without it");
  if (metadata.flag(metadata.own("attention.causal")) === false)
    throw unsupported(metadata, "attention.causal", "true");
  return architecture;
}

function unsupported(metadata: MetadataReader, key: string, supported: string): AppError {
  return new AppError(
    "checkpoint_unsupported",
    `${metadata.path}: ${metadata.own(key)} is not supported in this architecture; supported: ${supported}. Use another model.`,
  );
}

/** The sizes that all architectures with rotary positions have. */
async function readShared(source: ConfigSource, modelType: string): Promise<RawConfig & { head_dim: number }> {
  const { metadata } = source;
  const count = (key: string): number => metadata.requiredCount(metadata.own(key));
  const heads = count("attention.head_count");
  const hidden = count("embedding_length");
  const headSize = metadata.count(metadata.own("attention.key_length")) ?? Math.floor(hidden / heads);
  if ((metadata.count(metadata.own("attention.value_length")) ?? headSize) !== headSize)
    throw unsupported(metadata, "attention.value_length", "that of attention.key_length");
  const rotary = metadata.count(metadata.own("rope.dimension_count")) ?? headSize;
  if (rotary !== headSize && modelType !== "phi3") throw unsupported(metadata, "rope.dimension_count", "whole heads");
  return {
    model_type: modelType,
    vocab_size: source.shapeOf("token_embd.weight")[0] ?? 0,
    hidden_size: hidden,
    intermediate_size: count("feed_forward_length"),
    num_hidden_layers: count("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: metadata.count(metadata.own("attention.head_count_kv")) ?? heads,
    head_dim: headSize,
    max_position_embeddings: count("context_length"),
    rms_norm_eps: metadata.number(metadata.own("attention.layer_norm_rms_epsilon")) ?? 1e-6,
    rope_theta: metadata.number(metadata.own("rope.freq_base")) ?? 10000,
    rope_scaling: (await frequencyScaling(source)) ?? metadataScaling(metadata),
    tie_word_embeddings: !source.hasTensor("output.weight"),
  };
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

async function readOlmo2(source: ConfigSource): Promise<RawConfig> {
  const { metadata } = source;
  if (slidingLayers(metadata)?.some((slides) => slides))
    throw unsupported(metadata, "attention.sliding_window_pattern", "no sliding layers");
  const shared = await readShared(source, "olmo2");
  return { ...shared, architectures: ["Olmo2ForCausalLM"], hidden_act: "silu", attention_bias: false };
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
    layer_types: layerTypes(slidingLayers(metadata) ?? repeated(shared, 2)),
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
    layer_types: layerTypes(slides),
  };
}

/** The layers with a sliding window, where the file states them: a list of layers, or all but every n-th. */
function slidingLayers(metadata: MetadataReader): readonly boolean[] | undefined {
  const pattern = metadata.numberOrList(metadata.own("attention.sliding_window_pattern"));
  if (pattern === undefined) return undefined;
  const numLayers = metadata.requiredCount(metadata.own("block_count"));
  return typeof pattern === "number"
    ? repeated({ num_hidden_layers: numLayers }, pattern)
    : pattern.map((slides) => slides !== 0);
}

/** All layers but every n-th have a sliding window; n = 0: all of them. */
function repeated({ num_hidden_layers: numLayers }: RawConfig, n: number): readonly boolean[] {
  return Array.from({ length: numLayers as number }, (_, layer) => n === 0 || layer % n < n - 1);
}

function layerTypes(slides: readonly boolean[]): readonly string[] {
  return slides.map((does) => (does ? "sliding_attention" : "full_attention"));
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
