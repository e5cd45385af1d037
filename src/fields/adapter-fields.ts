/**
 * Fields that name an adapter, in every server's spelling. None of them is ever ignored, because the base would then
 * silently answer instead.
 */
import {
  both,
  either,
  empty,
  type Field,
  harmless,
  heeded,
  is,
  type Neutral,
  nothing,
  refused,
  type Treatment,
} from "./field.ts";

/** llama.cpp: an adapter that is not in the list, or has the scale 0, is not used. */
export const switchedOff: Neutral = {
  text: "a list of adapters with the scale 0",
  holds: (value) => Array.isArray(value) && value.every((one) => (one as { scale?: unknown } | null)?.scale === 0),
};

export const ADAPTER_FIELDS: readonly Field[] = [
  ...both(["mosara"], {
    adapter: heeded(
      'An adapter\'s name. {"blend": {"<name>": <weight>, …}} is a weighted sum of up to 8 adapters. {"data": "<base64 of a .mosara file>"} is an adapter for this request alone, and {"sha256": "<hash>"} is the same adapter in a later request.',
    ),
  }),
  ...both(["LoRAX", "TGI"], {
    adapter_id: heeded("An adapter's name."),
    adapter_source: refused(
      is("local"),
      "Adapters come from this server's store. Upload with PUT /v1/adapters/{name}.",
    ),
    merged_adapters: refused(nothing, 'Name one adapter, or send "adapter": {"blend": {"<name>": <weight>, …}}.'),
    api_token: refused(nothing, "Adapters come from this server's store, which needs no token."),
  }),
  ...both(["SGLang"], { lora_path: heeded("An adapter's name, or a list with one name.") }),
  ...both(["llama.cpp"], {
    lora: heeded("An adapter's name. llama.cpp's list of numbers and scales is refused unless every scale is 0."),
  }),
  ...both(["vLLM"], {
    lora_name: heeded("An adapter's name."),
    lora_request: heeded('{"lora_name": "<an adapter\'s name>"}, or the name.'),
    lora_int_id: refused(nothing, "Adapters have names here."),
  }),
  ...both(["LoRAX"], { adapters: refused(either(empty, nothing), "Name one adapter.") }),
];

const BY_NAME = harmless("lora_name alone selects the adapter.");

/** The fields of an `adapter` or `lora_request` that is an object. Any other field in it is an error. */
export const NESTED_ADAPTER_FIELDS: Readonly<Record<string, Readonly<Record<string, Treatment>>>> = {
  adapter: {
    data: heeded("Base64 of a .mosara file."),
    sha256: heeded("SHA-256 of a file that this tenant has sent as data before, or sees in the store."),
    blend: heeded("Weights by the names of adapters."),
  },
  lora_request: {
    lora_name: heeded("An adapter's name."),
    lora_int_id: BY_NAME,
    lora_path: BY_NAME,
    lora_local_path: BY_NAME,
    base_model_name: BY_NAME,
    long_lora_max_len: refused(nothing, "The context is the model's own."),
    load_inplace: refused(is(false), "Replace the adapter with PUT /v1/adapters/{name}."),
    tensorizer_config_dict: BY_NAME,
  },
};

/** Matches names of unknown fields that seem to name an adapter. */
export const SEEMS_ADAPTER = /lora|adapter|peft/i;
