/** Fields of Anthropic's Messages API. Source: its API reference and the types of @anthropic-ai/sdk 1.14. Data. */
import { MEDIA_OF_MESSAGES, MEDIA_OF_PARTS } from "./media-fields.ts";
import { empty, harmless, heeded, is, nothing, refused, type Treatment } from "./field.ts";

const CACHE = harmless("Prompts with a common beginning share its computation even without this field.");
const NO_SERVER_TOOLS = "The server runs no tools.";

export const MESSAGES_FIELDS: Readonly<Record<string, Treatment>> = {
  messages: heeded("The conversation. A last message of the assistant is the beginning of the answer."),
  max_tokens: heeded("Maximum number of tokens to generate, at most what the context has left."),
  system: heeded("Text, or text blocks, before the first message."),
  stop_sequences: heeded("Strings that end the answer. The answer names the string that ended it."),
  tools: heeded("Given to the chat template. Tools that a server runs are refused."),
  tool_choice: heeded("auto, any, tool or none. They mean chat's auto, required, a named function and none."),
  thinking: heeded("enabled and disabled set the template's variable enable_thinking. A budget has no effect."),
  output_config: heeded("See the nested fields."),
  output_format: refused(nothing, 'Send "output_config": {"format": …}.'),
  cache_control: CACHE,
  metadata: heeded("`user_id` works as chat's `user`. The server stores nothing of a request."),
  service_tier: harmless("It affects how the request is run or billed, not the answer."),
  inference_geo: harmless("It affects where the request runs, not the answer."),
  speed: harmless("It makes some servers faster and does not change the answer."),
  diagnostics: harmless("It asks for details of a cache."),
  betas: harmless("It is an argument of a client library."),
  thread: heeded("create is accepted, but nothing is kept. continue is thread_not_found: send the whole conversation."),
  container: refused(nothing, NO_SERVER_TOOLS),
  mcp_servers: refused(empty, NO_SERVER_TOOLS),
  context_management: refused(empty, "Send the conversation as the model should read it."),
  stop: refused(empty, 'Send "stop_sequences".'),
  n: refused(is(1), "Send several requests."),
};

/** Fields below the top level, by the place of their object. */
export const MESSAGES_NESTED: Readonly<Record<string, Readonly<Record<string, Treatment>>>> = {
  output_config: {
    effort: heeded("Sets the template's variable reasoning_effort."),
    format: heeded("The answer is JSON of its schema. A keyword that cannot be honoured is refused."),
    task_budget: refused(nothing, 'Send "max_tokens".'),
  },
  thinking: {
    type: heeded("enabled, disabled or adaptive."),
    budget_tokens: harmless("max_tokens limits thinking and answer together."),
    display: harmless("Thinking is returned as the model wrote it."),
  },
  "messages[]": {
    ...MEDIA_OF_MESSAGES,
    role: heeded("user, assistant or system."),
    content: heeded("Text, or a list of blocks."),
  },
  "messages[].content[]": {
    ...MEDIA_OF_PARTS,
    type: heeded("text, thinking, tool_use or tool_result; others are refused."),
    text: heeded("The text of a text block."),
    thinking: heeded("Given to the chat template as reasoning_content."),
    signature: harmless("Thinking from any server is accepted."),
    id: heeded("The id of a call."),
    name: heeded("The name of the called tool."),
    input: heeded("The arguments of a call."),
    caller: harmless("The server runs no tools."),
    tool_use_id: heeded("The id of the call that a result belongs to."),
    content: heeded("The text of a result, or its text blocks."),
    is_error: heeded("Given to the chat template."),
    citations: harmless("Answers have no citations."),
    cache_control: CACHE,
  },
  "tools[]": {
    type: heeded("custom; others are refused."),
    name: heeded("Given to the chat template."),
    description: heeded("Given to the chat template."),
    input_schema: heeded("Given to the chat template as the function's parameters."),
    strict: heeded("As chat's."),
    cache_control: CACHE,
    eager_input_streaming: harmless("Arguments are streamed as they are written."),
    input_examples: refused(empty, "Write them into the description."),
    allowed_callers: harmless("The server runs no tools."),
    defer_loading: refused(is(false), "Every tool is shown to the model."),
  },
};
