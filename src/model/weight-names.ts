/** Names of a checkpoint's tensors, as Hugging Face writes them. */

export const EMBEDDING = "model.embed_tokens.weight";
export const LM_HEAD = "lm_head.weight";
export const FINAL_NORM = "model.norm.weight";

/** The weight of a linear layer named as adapters name it. */
export function linearWeight(linear: string): string {
  return `model.${linear}.weight`;
}

export function linearBias(linear: string): string {
  return `model.${linear}.bias`;
}

/** The norm before attention, the norm before the MLP. */
export function layerNorms(layer: number): { readonly attention: string; readonly mlp: string } {
  return {
    attention: `model.layers.${layer}.input_layernorm.weight`,
    mlp: `model.layers.${layer}.post_attention_layernorm.weight`,
  };
}
