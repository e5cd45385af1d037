/**
 * GPT-2: learned positions, LayerNorm, one projection for q, k and v, an MLP without a gate. Its files store matrices
 * as [in, out] (Conv1D), with different names; files on the Hub have no prefix. Defaults of transformers' GPT2Config.
 */
import { readActivation } from "../config/activation.ts";
import { type RawConfig, readCount, readFlag, readNumber, unsupported } from "../config/config-reader.ts";
import { LATER_SETTINGS, type ModelConfig } from "../config/model-config.ts";
import { EMBEDDING, FINAL_NORM, type ForeignNames, LM_HEAD, POSITION_EMBEDDING } from "../weight-names.ts";

/** The other families' names of these settings; transformers reads both. */
const OTHER_NAMES = {
  n_embd: "hidden_size",
  n_positions: "max_position_embeddings",
  n_head: "num_attention_heads",
  n_layer: "num_hidden_layers",
} as const;

export function readGpt2(config: RawConfig): ModelConfig {
  const renamed = Object.entries(OTHER_NAMES).map(([name, other]) => [name, config[name] ?? config[other]]);
  const raw: RawConfig = { ...config, ...Object.fromEntries(renamed) };
  for (const key of ["scale_attn_by_inverse_layer_idx", "add_cross_attention"])
    if (readFlag(raw, key, false)) throw unsupported(key, true, "false");
  const hiddenSize = readCount(raw, "n_embd", 768);
  const numHeads = readCount(raw, "n_head", 12);
  const numLayers = readCount(raw, "n_layer", 12, 4096);
  const headSize = Math.floor(hiddenSize / numHeads);
  const each = <T>(value: T): readonly T[] => Array.from({ length: numLayers }, () => value);
  return {
    family: "gpt2",
    hiddenSize,
    intermediateSize: readCount(raw, "n_inner", 4 * hiddenSize),
    numLayers,
    numHeads,
    numKvHeads: numHeads,
    headSize,
    vocabSize: readCount(raw, "vocab_size", 50257),
    maxPositions: readCount(raw, "n_positions", 1024),
    modules: { qkv: ["attn.c_attn"], output: "attn.c_proj", mlpIn: ["mlp.c_fc"], down: "mlp.c_proj" },
    norm: { kind: "layer", epsilon: readNumber(raw, "layer_norm_epsilon", 1e-5), offset: 0 },
    blockNorms: "before",
    queryKeyNorm: "none",
    activation: readActivation(raw, "activation_function", "gelu_new"),
    hasGate: false,
    ...LATER_SETTINGS,
    embeddingScale: 1,
    attentionScale: readFlag(raw, "scale_attn_weights", true) ? headSize ** -0.5 : 1,
    scoreSoftCap: 0,
    logitSoftCap: 0,
    hasLearnedPositions: true,
    ropes: [],
    layerRopes: each(null),
    windows: each(null),
    tiesEmbeddings: readFlag(raw, "tie_word_embeddings", true),
    hasQkvBias: true,
    hasOutputBias: true,
    hasMlpBias: true,
  };
}

function nameInFiles(name: string): string {
  if (name === EMBEDDING) return "wte.weight";
  if (name === POSITION_EMBEDDING) return "wpe.weight";
  if (name.startsWith(`${FINAL_NORM}.`)) return name.replace(FINAL_NORM, "ln_f");
  return name
    .replace(/^model\.layers\./, "h.")
    .replace("input_layernorm", "ln_1")
    .replace("post_attention_layernorm", "ln_2");
}

export const gpt2Names: ForeignNames = {
  namesOf: (name) => (name === LM_HEAD ? [name] : [`transformer.${nameInFiles(name)}`, nameInFiles(name)]),
  isTransposed: (name) => /\.(c_attn|c_proj|c_fc)\.weight$/.test(name),
};
