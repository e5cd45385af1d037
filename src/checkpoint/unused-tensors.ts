/** Reports the tensors of a checkpoint that the model does not use. Most loaders silently drop them. */

/** Tensors that older checkpoints store, although the model computes them or already has them. */
const COMPUTED = /(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias|lm_head\.weight|position_ids)$/;
/** Parts of an adapter that was not merged before the model was saved. */
const ADAPTER_PART = /\.(lora_[AB]|lora_embedding_[AB]|base_layer|lora_magnitude_vector)\./;
/** Number of tensors that are named. Further tensors are counted. */
const NAMED = 3;

/** A sentence for the user; null where every tensor is used. @param used names as they are stored */
export function unusedTensorsNotice(names: Iterable<string>, used: ReadonlySet<string>): string | null {
  const unused = [...names].filter((name) => !used.has(name) && !COMPUTED.test(name)).sort();
  if (unused.length === 0) return null;
  const more = unused.length > NAMED ? ` and ${unused.length - NAMED} others` : "";
  return `The checkpoint holds tensors that the model of config.json does not use: ${unused.slice(0, NAMED).join(", ")}${more}. They are left out.${unmergedAdvice(unused)}`;
}

/** Advice if the names show an unmerged adapter; otherwise empty. */
export function unmergedAdvice(names: readonly string[]): string {
  return names.some((name) => ADAPTER_PART.test(name))
    ? " The names show a PEFT adapter that was not merged. Save the model after merge_and_unload()."
    : "";
}
