/**
 * Fields of POST /tokenize and POST /detokenize. A conversation is rendered as chat renders it, so chat's fields are
 * known there too. Those that decide only how an answer is drawn are harmless, because nothing is generated.
 */
import { empty, type Field, harmless, heeded, is, nothing, refused, type Treatment } from "./field.ts";

const NOTHING_DRAWN = harmless("Nothing is generated.");
const SAME_TOKENIZER = harmless("Every adapter has the tokenizer of the base.");
const TOO_MANY = "The ids of a prompt are returned whole.";
const KWARGS = 'Send the template\'s variables in "chat_template_kwargs".';

export const TOKENIZE_FIELDS: Readonly<Record<string, Treatment>> = {
  model: heeded("The base's name, an adapter's name, or base:adapter. It must exist."),
  prompt: heeded("A text. One of prompt and messages is needed."),
  messages: heeded("A conversation, which the model's chat template renders."),
  add_special_tokens: heeded("Whether a prompt gets the tokenizer's special tokens (the default)."),
  return_token_strs: heeded("The answer has the text of each token."),
  tools: heeded("Given to the template."),
  tool_choice: refused(is("auto"), 'Leave "tools" out for a prompt without them.'),
  add_generation_prompt: heeded("Whether the prompt ends with the template's opening of the assistant's turn."),
  continue_final_message: heeded("The prompt ends within the last message."),
  chat_template: heeded("Names one of the model's own templates."),
  chat_template_kwargs: heeded("More variables for the chat template."),
  documents: heeded("The variable `documents` of the chat template."),
  reasoning_effort: refused(nothing, KWARGS),
  truncate_prompt_tokens: refused(nothing, TOO_MANY),
  truncation_side: refused(nothing, TOO_MANY),
  return_token_ids: harmless("The ids are the answer."),
  adapter: SAME_TOKENIZER,
  adapter_id: SAME_TOKENIZER,
  lora: SAME_TOKENIZER,
  lora_name: SAME_TOKENIZER,
  lora_path: SAME_TOKENIZER,
  lora_request: SAME_TOKENIZER,
  content: refused(nothing, 'Send "prompt".'),
  inputs: refused(nothing, 'Send "prompt".'),
  add_special: refused(nothing, 'Send "add_special_tokens".'),
  parse_special: refused(is(true), "Special tokens in a prompt are read as tokens."),
  with_pieces: refused(is(false), 'Send "return_token_strs".'),
};

export const DETOKENIZE_FIELDS: Readonly<Record<string, Treatment>> = {
  model: heeded("The base's name, an adapter's name, or base:adapter. It must exist."),
  tokens: heeded("Token ids."),
  skip_special_tokens: heeded("Whether special tokens are left out of the text. Default false."),
  keep_special_tokens: refused(is(true), 'Send "skip_special_tokens".'),
  ids: refused(empty, 'Send "tokens".'),
};

/** The fields of a conversation's tokens: those above, and chat's. */
export function tokenizeFields(fields: readonly Field[]): ReadonlyMap<string, Treatment> {
  const chat = fields.map(({ name, treatment: { chat: one } }): readonly [string, Treatment] => [
    name,
    one.kind === "heeded" ? NOTHING_DRAWN : one,
  ]);
  return new Map([...chat, ...Object.entries(TOKENIZE_FIELDS)]);
}
