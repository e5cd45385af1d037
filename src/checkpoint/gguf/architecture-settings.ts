/** Settings that several architectures of GGUF files share, and their patterns of layers. */
import { AppError } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import type { MetadataReader } from "./metadata-reader.ts";
import { frequencyScaling, metadataScaling } from "./rope-scaling.ts";

/** The inputs from which a configuration is read. */
export interface ConfigSource {
  readonly metadata: MetadataReader;
  hasTensor(name: string): boolean;
  /** Outermost dimension first. @throws {AppError} checkpoint_invalid where no tensor has that name */
  shapeOf(name: string): readonly number[];
  /** A small tensor of factors. */
  readFactors(name: string): Promise<Float32Array>;
}

export function unsupportedSetting(metadata: MetadataReader, key: string, supported: string): AppError {
  return new AppError(
    "checkpoint_unsupported",
    `${metadata.path}: ${metadata.own(key)} is not supported in this architecture; supported: ${supported}. Use another model.`,
  );
}

/** The sizes that all architectures with rotary positions have. */
export async function readShared(source: ConfigSource, modelType: string): Promise<RawConfig & { head_dim: number }> {
  const { metadata } = source;
  const count = (key: string): number => metadata.requiredCount(metadata.own(key));
  const heads = count("attention.head_count");
  const hidden = count("embedding_length");
  const headSize = metadata.count(metadata.own("attention.key_length")) ?? Math.floor(hidden / heads);
  if ((metadata.count(metadata.own("attention.value_length")) ?? headSize) !== headSize)
    throw unsupportedSetting(metadata, "attention.value_length", "that of attention.key_length");
  const rotary = metadata.count(metadata.own("rope.dimension_count")) ?? headSize;
  if (rotary !== headSize && modelType !== "phi3")
    throw unsupportedSetting(metadata, "rope.dimension_count", "whole heads");
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

/** The layers with a sliding window, where the file states them: a list of layers, or all but every n-th. */
export function slidingLayers(metadata: MetadataReader): readonly boolean[] | undefined {
  const pattern = metadata.numberOrList(metadata.own("attention.sliding_window_pattern"));
  if (pattern === undefined) return undefined;
  const numLayers = metadata.requiredCount(metadata.own("block_count"));
  return typeof pattern === "number"
    ? repeated({ num_hidden_layers: numLayers }, pattern)
    : pattern.map((slides) => slides !== 0);
}

/** All layers but every n-th have a sliding window; n = 0: all of them. */
export function repeated({ num_hidden_layers: numLayers }: RawConfig, n: number): readonly boolean[] {
  return Array.from({ length: numLayers as number }, (_, layer) => n === 0 || layer % n < n - 1);
}

export function layerTypeNames(slides: readonly boolean[]): readonly string[] {
  return slides.map((does) => (does ? "sliding_attention" : "full_attention"));
}
