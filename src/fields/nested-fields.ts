/** Fields below the top level: of `stream_options`, messages, parts of a message and tools. Data. */
import { NESTED_ADAPTER_FIELDS } from "./adapter-fields.ts";
import { NESTED_GRAMMAR_FIELDS } from "./grammar-fields.ts";
import { MEDIA_OF_MESSAGES, MEDIA_OF_PARTS } from "./media-fields.ts";
import { harmless, heeded, is, nothing, refused, type Treatment } from "./field.ts";

const TEMPLATE = heeded("Given to the chat template.");
const CACHE = harmless("Prompts with a common beginning share its computation even without this field.");

/** Path of the objects: `[]` is every item of a list. */
export const NESTED_FIELDS: Readonly<Record<string, Readonly<Record<string, Treatment>>>> = {
  stream_options: {
    include_usage: heeded("A last chunk has the usage."),
    continuous_usage_stats: heeded("Every chunk has the usage so far."),
    include_obfuscation: harmless("Chunks have no padding."),
  },
  ...NESTED_ADAPTER_FIELDS,
  ...NESTED_GRAMMAR_FIELDS,
  "messages[]": {
    ...MEDIA_OF_MESSAGES,
    role: heeded("system, developer (the same), user, assistant, tool or function."),
    content: heeded("Text, or a list of text parts."),
    name: TEMPLATE,
    tool_calls: TEMPLATE,
    tool_call_id: TEMPLATE,
    function_call: TEMPLATE,
    refusal: TEMPLATE,
    reasoning_content: heeded("Given to the chat template, as reasoning and thinking are."),
    reasoning: heeded("Given to the chat template, also as reasoning_content."),
    thinking: heeded("Given to the chat template, also as reasoning_content."),
    tools: TEMPLATE,
    annotations: TEMPLATE,
    audio: refused(nothing, "The server accepts only text."),
    prefix: refused(is(false), 'Send "continue_final_message" and "add_generation_prompt": false.'),
    partial: refused(is(false), 'Send "continue_final_message" and "add_generation_prompt": false.'),
    cache_control: CACHE,
    weight: harmless("It weighs a message in training."),
    id: harmless("The server stores nothing of a request."),
  },
  "messages[].content[]": {
    ...MEDIA_OF_PARTS,
    type: heeded("text; others are refused."),
    text: heeded("The part's text."),
    cache_control: CACHE,
    annotations: TEMPLATE,
  },
  "tools[]": {
    type: heeded("function; others are refused."),
    function: heeded("Given to the chat template."),
    cache_control: CACHE,
    strict: harmless("Only strict in function is heeded."),
  },
  "tools[].function": {
    name: TEMPLATE,
    description: TEMPLATE,
    parameters: TEMPLATE,
    strict: heeded("true binds automatic calls of this tool to its schema. Forced calls are always bound."),
    defer_loading: harmless("Every tool is shown to the model."),
    response: TEMPLATE,
    return: TEMPLATE,
  },
};
