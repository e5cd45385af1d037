/** Fields of the routes that load and unload an adapter as vLLM, SGLang and Dynamo do. Source: their references. */
import { empty, harmless, heeded, is, refused, type Treatment } from "./field.ts";

const BY_NAME = harmless("Adapters are known by their names.");

export const LOAD_LORA_FIELDS: Readonly<Record<string, Treatment>> = {
  lora_name: heeded("The adapter's name."),
  lora_path: heeded(
    "A file or PEFT directory below --adapters, where `.mosara` may be left out, or an address below --adapter-source: hf://, s3:// or https://.",
  ),
  load_inplace: heeded("true replaces an adapter of this name."),
  lora_int_id: BY_NAME,
  lora_id: BY_NAME,
  base_model_name: harmless("An adapter of another base is always refused."),
  pinned: harmless("It keeps an adapter in a device's memory, and changes no answer."),
  is_3d_lora_weight: refused(is(false), "Adapters change linear layers only."),
  added_tokens_config: refused(empty, "Every adapter has the tokenizer of the base."),
};

export const UNLOAD_LORA_FIELDS: Readonly<Record<string, Treatment>> = {
  lora_name: heeded("The adapter's name."),
  lora_int_id: BY_NAME,
  lora_id: BY_NAME,
};

export const LORAS_FIELDS: Readonly<Record<string, Treatment>> = {
  lora_name: heeded("The adapter's name. An adapter of this name is replaced."),
  source: heeded("An object."),
};

/** Fields of the objects in it. */
export const LORAS_NESTED = {
  source: {
    uri: heeded(
      "`file://` and a path below --adapters, or an address below --adapter-source: hf://, s3:// or https://.",
    ),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Treatment>>>>;
