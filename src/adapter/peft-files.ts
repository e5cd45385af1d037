/** The files of a PEFT adapter by their names, in a directory, in a repository or at an address. */

export const PEFT_CONFIG = "adapter_config.json";
export const PEFT_TENSORS = "adapter_model.safetensors";
/** The tokenizer and the chat template that trainers save beside an adapter. They are compared with the base's. */
export const PEFT_TEXTS: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

/** Whether a file is one of these texts, or another chat template. @param path within the adapter's directory */
export const isPeftText = (path: string): boolean =>
  PEFT_TEXTS.includes(path) || /^additional_chat_templates\/[^/]+\.jinja$/.test(path);
