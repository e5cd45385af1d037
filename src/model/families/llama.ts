/** Llama 2 and 3. Defaults are those of transformers' LlamaConfig. */
import { type RawConfig, readChoice, readCount, readFlag, readNumber } from "../config-reader.ts";
import type { ModelConfig } from "../model-config.ts";
import { readRope } from "../rope-config.ts";

// Far beyond any model: lists of this length are made before the tensors are looked at.
const MAX_LAYERS = 4096;

export function readLlama(raw: RawConfig): ModelConfig {
  readChoice(raw, "hidden_act", "silu", ["silu"]);
  const hiddenSize = readCount(raw, "hidden_size", 4096);
  const numHeads = readCount(raw, "num_attention_heads", 32);
  const numLayers = readCount(raw, "num_hidden_layers", 32, MAX_LAYERS);
  const hasAttentionBias = readFlag(raw, "attention_bias", false);
  return {
    family: "llama",
    hiddenSize,
    intermediateSize: readCount(raw, "intermediate_size", 11008),
    numLayers,
    numHeads,
    numKvHeads: readCount(raw, "num_key_value_heads", numHeads),
    headSize: readCount(raw, "head_dim", Math.floor(hiddenSize / numHeads)),
    vocabSize: readCount(raw, "vocab_size", 32000),
    maxPositions: readCount(raw, "max_position_embeddings", 2048),
    normEpsilon: readNumber(raw, "rms_norm_eps", 1e-6),
    tiesEmbeddings: readFlag(raw, "tie_word_embeddings", false),
    rope: readRope(raw, 10000),
    windows: Array.from({ length: numLayers }, () => null),
    hasQkvBias: hasAttentionBias,
    hasOutputBias: hasAttentionBias,
    hasMlpBias: readFlag(raw, "mlp_bias", false),
  };
}
