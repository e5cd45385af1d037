/**
 * The tables of the endpoints whose requests are converted to chat requests: their own fields, and chat's. Chat's
 * sampling fields and names of adapters work there as in chat. Chat's other heeded fields are refused, because the
 * endpoint has a field of its own for each.
 */
import type { Field, Treatment } from "./field.ts";
import { nothing, refused } from "./field.ts";

/** Fields of chat that mean the same in every API. */
const COMMON: ReadonlySet<string> = new Set([
  "model",
  "adapter",
  "adapter_id",
  "lora",
  "lora_name",
  "lora_path",
  "lora_request",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "seed",
  "stream",
  "presence_penalty",
  "frequency_penalty",
  "repetition_penalty",
  "logit_bias",
  "bad_words",
  "allowed_token_ids",
  "truncate_prompt_tokens",
  "truncation_side",
  "cache_salt",
  "ignore_eos",
  "min_tokens",
  "stop_token_ids",
  "skip_special_tokens",
  "include_stop_str_in_output",
  "no_stop_trim",
  "add_generation_prompt",
  "continue_final_message",
  "chat_template_kwargs",
  "chat_template",
  "documents",
  "structured_outputs",
  "structural_tag",
  "guided_json",
  "guided_regex",
  "guided_choice",
  "guided_grammar",
  "guided_json_object",
  "json_schema",
  "grammar",
  "regex",
  "ebnf",
  "mosara_receipt",
]);

const ELSEWHERE = refused(nothing, "It is a field of POST /v1/chat/completions.");

/** All fields of an endpoint: chat's and its own. */
export function chatLikeFields(
  fields: readonly Field[],
  own: Readonly<Record<string, Treatment>>,
): ReadonlyMap<string, Treatment> {
  const chat = fields.map(({ name, treatment }): readonly [string, Treatment] => [
    name,
    treatment.chat.kind !== "heeded" || COMMON.has(name) ? treatment.chat : ELSEWHERE,
  ]);
  return new Map([...chat, ...Object.entries(own)]);
}
