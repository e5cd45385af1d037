/** Llama 2 and 3, and the pattern of most other families. Defaults are those of transformers' LlamaConfig. */
import { readActivation } from "../config/activation.ts";
import { type RawConfig, readCount, readFlag, readNumber } from "../config/config-reader.ts";
import { LATER_SETTINGS, type LinearModules, type ModelConfig } from "../config/model-config.ts";
import { readRope } from "../config/rope-config.ts";

// Far above any model. Lists of this length are made before the tensors are read.
const MAX_LAYERS = 4096;

const LLAMA_MODULES: LinearModules = {
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  output: "self_attn.o_proj",
  mlpIn: ["mlp.gate_proj", "mlp.up_proj"],
  down: "mlp.down_proj",
};

export function readLlama(raw: RawConfig): ModelConfig {
  const hiddenSize = readCount(raw, "hidden_size", 4096);
  const numHeads = readCount(raw, "num_attention_heads", 32);
  const numLayers = readCount(raw, "num_hidden_layers", 32, MAX_LAYERS);
  const headSize = readCount(raw, "head_dim", Math.floor(hiddenSize / numHeads));
  const hasAttentionBias = readFlag(raw, "attention_bias", false);
  return {
    family: "llama",
    hiddenSize,
    intermediateSize: readCount(raw, "intermediate_size", 11008),
    numLayers,
    numHeads,
    numKvHeads: readCount(raw, "num_key_value_heads", numHeads),
    headSize,
    vocabSize: readCount(raw, "vocab_size", 32000),
    maxPositions: readCount(raw, "max_position_embeddings", 2048),
    modules: LLAMA_MODULES,
    norm: { kind: "rms", epsilon: readNumber(raw, "rms_norm_eps", 1e-6), offset: 0 },
    blockNorms: "before",
    queryKeyNorm: "none",
    activation: readActivation(raw, "hidden_act", "silu"),
    hasGate: true,
    ...LATER_SETTINGS,
    embeddingScale: 1,
    attentionScale: headSize ** -0.5,
    scoreSoftCap: 0,
    logitSoftCap: 0,
    hasLearnedPositions: false,
    ropes: [readRope(raw, 10000, headSize)],
    layerRopes: Array.from({ length: numLayers }, () => 0),
    windows: Array.from({ length: numLayers }, () => null),
    tiesEmbeddings: readFlag(raw, "tie_word_embeddings", false),
    hasQkvBias: hasAttentionBias,
    hasOutputBias: hasAttentionBias,
    hasMlpBias: readFlag(raw, "mlp_bias", false),
  };
}
