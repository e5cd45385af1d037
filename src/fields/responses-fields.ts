/** Fields of OpenAI's Responses API. Source: its API reference and the types of openai 6.30. Data. */
import { MEDIA_OF_MESSAGES, MEDIA_OF_PARTS } from "./media-fields.ts";
import { empty, harmless, heeded, is, type Neutral, nothing, refused, type Treatment } from "./field.ts";

const SCHEDULING = "It affects how the request is run or billed, not the answer.";
const CACHE = harmless("Prompts with a common beginning share its computation even without this field.");

const KNOWN_INCLUDES: ReadonlySet<unknown> = new Set(["message.output_text.logprobs", "reasoning.encrypted_content"]);
const isKnownInclude: Neutral = {
  text: '"message.output_text.logprobs", which has an effect, and "reasoning.encrypted_content", which has none',
  holds: (value) => Array.isArray(value) && value.every((one) => KNOWN_INCLUDES.has(one)),
};

const hasReadableText: Neutral = {
  text: "beside content or summary; empty",
  holds: (value, item) =>
    value === "" || [item.content, item.summary].some((parts) => Array.isArray(parts) && parts.length > 0),
};

export const RESPONSES_FIELDS: Readonly<Record<string, Treatment>> = {
  input: heeded("Text, or items: messages, reasoning, function_call, function_call_output and item_reference."),
  instructions: heeded("The system prompt, before the conversation."),
  max_output_tokens: heeded("Maximum number of tokens to generate, at most what the context has left."),
  previous_response_id: heeded("A stored response of the same tenant. The request continues it."),
  store: heeded("false: the response is not stored."),
  stop: heeded("Strings that end the answer."),
  tools: heeded("Functions, given to the chat template. Tools that a server runs are refused."),
  tool_choice: heeded('As chat\'s, with {"type": "function", "name": …} for a named function.'),
  parallel_tool_calls: heeded("As chat's."),
  text: heeded("See the nested fields."),
  reasoning: heeded("See the nested fields."),
  top_logprobs: heeded("Number of alternatives listed with each token's log-probability."),
  metadata: heeded("Returned with the response, and stored with it."),
  include: refused(isKnownInclude, "It asks for details that the answer does not have."),
  stream_options: heeded("See the nested fields."),
  background: refused(is(false), "The client waits for the answer."),
  conversation: refused(nothing, 'Send "previous_response_id", or the whole conversation as "input".'),
  prompt: refused(nothing, "The server stores no prompt templates. Send the text."),
  truncation: refused(is("disabled"), 'Send "truncate_prompt_tokens".'),
  context_management: refused(empty, "Send the conversation as the model should read it."),
  max_tool_calls: harmless("The server runs no tools."),
  service_tier: harmless(SCHEDULING),
  user: heeded("An alias answers the same user with the same target. The server stores nothing about a user."),
  safety_identifier: harmless("The server stores nothing about a user."),
  prompt_cache_key: CACHE,
  prompt_cache_retention: CACHE,
  messages: refused(nothing, 'Send "input".'),
  max_tokens: refused(nothing, 'Send "max_output_tokens".'),
  n: refused(is(1), "Send several requests."),
};

/** Fields below the top level, by the place of their object. */
export const RESPONSES_NESTED: Readonly<Record<string, Readonly<Record<string, Treatment>>>> = {
  text: {
    format: heeded(
      "text, json_object or json_schema: the answer is JSON of its schema. A keyword that cannot be honoured is refused.",
    ),
    verbosity: harmless("It is a hint for models that were trained with it."),
  },
  "text.format": {
    type: heeded("text, json_object or json_schema."),
    name: harmless("The schema alone binds the answer."),
    description: harmless("The schema alone binds the answer."),
    schema: heeded("The JSON Schema of the answer."),
    strict: heeded("As chat's."),
  },
  reasoning: {
    effort: heeded("As chat's reasoning_effort."),
    summary: heeded("Any value: reasoning is returned as a summary. null: as reasoning text."),
    generate_summary: refused(nothing, 'Send "summary".'),
  },
  "input[]": {
    ...MEDIA_OF_MESSAGES,
    type: heeded("message (the default), reasoning, function_call, function_call_output or item_reference."),
    role: heeded("user, assistant, system or developer."),
    content: heeded("The text of a message, or its parts. The text of a reasoning item."),
    id: heeded("The item that an item_reference names. Otherwise without effect."),
    summary: heeded("The text of a reasoning item without content."),
    encrypted_content: refused(hasReadableText, "Only the server that encrypted it can read it. Send its text."),
    call_id: heeded("The id of a call, and of the call that an output belongs to."),
    name: heeded("The name of the called function."),
    arguments: heeded("The arguments of a call, as JSON text."),
    output: heeded("The text of an output, or its parts."),
    namespace: refused(nothing, "Functions have no namespaces here."),
    caller: harmless("The server runs no tools."),
    created_by: harmless("The model does not see it."),
    phase: harmless("It is a hint for models that were trained with it."),
    status: harmless("The model reads an item as it is."),
  },
  "input[].content[]": {
    ...MEDIA_OF_PARTS,
    type: heeded("input_text, output_text, reasoning_text, summary_text or refusal; others are refused."),
    text: heeded("The part's text."),
    refusal: heeded("The text of a refusal."),
    annotations: harmless("The model does not see them."),
    logprobs: harmless("The model does not see them."),
    prompt_cache_breakpoint: CACHE,
  },
  stream_options: { include_obfuscation: harmless("Events have no padding.") },
  "tools[]": {
    type: heeded("function; others are refused."),
    name: heeded("Given to the chat template."),
    description: heeded("Given to the chat template."),
    parameters: heeded("Given to the chat template."),
    strict: heeded("As chat's."),
    defer_loading: refused(is(false), "Every tool is shown to the model."),
  },
};
