/** Fields of OpenAI's API references of chat completions, completions and responses. */
import { both, empty, type Field, harmless, heeded, is, type Neutral, nothing, only, refused } from "./field.ts";

const isTextOnly: Neutral = {
  text: '["text"]',
  holds: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
};

/** `best_of` is neutral if it equals `n`. A greater number would generate more answers than are returned. */
const isNumberOfAnswers: Neutral = {
  text: "the value of n, or 1 without n",
  holds: (value, body) => value === (body.n ?? 1),
};

const SCHEDULING = "It affects how the request is run or billed, not the answer.";
const RESPONSES = "It is a field of OpenAI's POST /v1/responses.";

const SHARED = both(["OpenAI"], {
  model: heeded("The base's name, an adapter's name, or base:adapter."),
  max_tokens: heeded(
    "Maximum number of tokens to generate: by default 16 for a prompt, the rest of the context for a chat.",
  ),
  temperature: heeded("0 is greedy."),
  top_p: heeded("Keeps the likeliest tokens whose probabilities add up to this number."),
  n: heeded("Number of answers to each prompt. Their seeds are seed, seed + 1, …"),
  stop: heeded("Strings that end the answer."),
  seed: heeded("The same seed gives the same answer."),
  stream: heeded("Server-sent events."),
  stream_options: heeded("See the nested fields."),
  presence_penalty: heeded("Lowers the logits of tokens that the answer already has."),
  frequency_penalty: heeded("Lowers the logits of tokens by how often the answer has them."),
  logit_bias: heeded("For each token id, the number to add to its logit."),
  user: heeded("An alias answers the same user with the same target. The server stores nothing about a user."),
  service_tier: harmless(SCHEDULING),
  metadata: harmless("The server stores nothing of a request."),
  store: harmless("The server stores nothing of a request."),
  prompt_cache_key: harmless("Prompts with a common beginning share its computation even without this field."),
  prompt_cache_retention: harmless("Prompts with a common beginning share its computation even without this field."),
  prompt_cache_options: harmless("Prompts with a common beginning share its computation even without this field."),
  safety_identifier: harmless("The server stores nothing about a user."),
  input: refused(nothing, RESPONSES),
  instructions: refused(empty, RESPONSES),
  max_output_tokens: refused(nothing, 'Send "max_tokens".'),
  previous_response_id: refused(nothing, RESPONSES),
  conversation: refused(nothing, RESPONSES),
  extra_body: refused(empty, "It is an argument of a client library. Send its content at the top level."),
});

const CHAT = [
  ...only("chat", ["OpenAI"], {
    messages: heeded("The conversation, which the model's chat template renders."),
    max_completion_tokens: heeded("The newer name of max_tokens. It overrides max_tokens."),
    reasoning_effort: heeded(
      "The template's variable reasoning_effort. If the template has only enable_thinking, none switches thinking off.",
    ),
    web_search_options: refused(nothing, "The server searches nothing."),
    audio: refused(nothing, "The server answers only with text."),
    data_sources: refused(empty, "The server searches nothing."),
  }),
  ...only(
    "chat",
    ["OpenAI"],
    { top_logprobs: heeded("Number of alternatives listed with each token's log-probability.") },
    is(0),
  ),
  ...only(
    "chat",
    ["OpenAI"],
    { tools: heeded("Given to the template. Calls that the model writes become tool_calls.") },
    empty,
  ),
  ...only(
    "chat",
    ["OpenAI"],
    { parallel_tool_calls: heeded("false: an answer has at most one call.") },
    is(true, false),
  ),
  ...only("chat", ["OpenAI"], { functions: refused(empty, 'Send "tools".') }, empty),
  ...only("chat", ["OpenAI"], { modalities: refused(isTextOnly, "The server answers only with text.") }, isTextOnly),
  ...only("chat", ["OpenAI"], { function_call: refused(is("none", "auto"), 'Send "tools".') }, is("none", "auto")),
  ...only(
    "chat",
    ["OpenAI"],
    {
      tool_choice: heeded(
        "auto, none, required, a named function, or allowed_tools. A forced call is bound to the tool's schema.",
      ),
    },
    is("none", "auto"),
  ),
  ...both(["OpenAI"], {
    prediction: harmless("It only makes some servers faster."),
    verbosity: harmless("It is a hint for models that were trained with it."),
  }),
];

const COMPLETIONS: Field[] = [
  ...only("completions", ["OpenAI"], {
    prompt: heeded("A string, a list of strings, token ids, or lists of token ids."),
  }),
  {
    name: "best_of",
    servers: ["OpenAI"],
    treatment: {
      completions: heeded(
        "Number of answers to generate. The server sends the n with the highest mean log-probability.",
      ),
      chat: refused(isNumberOfAnswers, 'Send "n" and choose among the answers.'),
    },
  },
  ...only(
    "completions",
    ["OpenAI"],
    { suffix: refused(empty, "The server continues a prompt. It does not fill a gap before a suffix.") },
    empty,
  ),
  {
    name: "echo",
    servers: ["OpenAI", "vLLM"],
    treatment: {
      completions: heeded("The answer begins with the prompt, which logprobs then score too."),
      chat: refused(is(false), 'Add the last message to the answer, or send "prompt_logprobs" for its scores.'),
    },
  },
  {
    name: "logprobs",
    servers: ["OpenAI"],
    treatment: {
      completions: heeded("Number of alternatives listed with each token's log-probability. 0 lists only the token."),
      chat: heeded("Whether the answer has each token's log-probability."),
    },
  },
];

export const OPENAI_FIELDS: readonly Field[] = [...SHARED, ...CHAT, ...COMPLETIONS];
