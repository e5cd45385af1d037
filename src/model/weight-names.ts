/**
 * Names of a decoder's tensors, the same for every family: those of Llama's checkpoints.
 * Where a family's files use other names, `families.ts` translates when a checkpoint is read or written.
 */
import type { ModelConfig } from "./config/model-config.ts";

export const EMBEDDING = "model.embed_tokens.weight";
export const POSITION_EMBEDDING = "model.embed_positions.weight";
export const LM_HEAD = "lm_head.weight";
/** A norm's name without its part, "weight" or "bias". */
export const FINAL_NORM = "model.norm";

/** The differences between a family's files and our names and layouts. */
export interface ForeignNames {
  /** The names of a tensor in the files. There are several if files differ. The first one is written. */
  readonly namesOf: (name: string) => readonly string[];
  /** Whether the files store this matrix as [dIn,dOut]. */
  readonly isTransposed: (name: string) => boolean;
}

/** The weight of a linear layer named as adapters name it. */
export function linearWeight(linear: string): string {
  return `model.${linear}.weight`;
}

export function linearBias(linear: string): string {
  return `model.${linear}.bias`;
}

/** The norms of a layer around attention and MLP; null where the family has no norm. */
export interface LayerNorms {
  readonly beforeAttention: string | null;
  readonly afterAttention: string | null;
  readonly beforeMlp: string | null;
  readonly afterMlp: string | null;
}

/**
 * NOTE: "post_attention_layernorm" is the norm before the MLP in
 * families with norms on inputs, and the norm after attention in others.
 */
export function layerNorms(config: Pick<ModelConfig, "blockNorms" | "isParallel">, layer: number): LayerNorms {
  const { blockNorms, isParallel } = config;
  const norm = (name: string): string => `model.layers.${layer}.${name}`;
  const hasBefore = blockNorms !== "after";
  const hasAfter = blockNorms !== "before";
  return {
    beforeAttention: hasBefore ? norm("input_layernorm") : null,
    afterAttention: hasAfter ? norm("post_attention_layernorm") : null,
    beforeMlp:
      hasBefore && !isParallel ? norm(hasAfter ? "pre_feedforward_layernorm" : "post_attention_layernorm") : null,
    afterMlp: hasAfter ? norm("post_feedforward_layernorm") : null,
  };
}

/** The norms of queries and keys. */
export function queryKeyNorms(layer: number): { readonly query: string; readonly key: string } {
  return { query: `model.layers.${layer}.self_attn.q_norm`, key: `model.layers.${layer}.self_attn.k_norm` };
}
