/** The files of a PEFT adapter by their names, in a directory, in a repository or at an address. */

export const PEFT_CONFIG = "adapter_config.json";
export const PEFT_TENSORS = "adapter_model.safetensors";
/** The tokenizer and the chat templates that trainers save beside an adapter. They are compared with the base's. */
export const PEFT_TEXTS =
  /^((tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json|(chat_template|additional_chat_templates\/[^/]+)\.jinja)$/;
