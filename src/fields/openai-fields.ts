/** Fields of OpenAI's API references of chat completions, completions and responses. */
import { both, empty, type Field, harmless, heeded, is, type Neutral, nothing, only, refused } from "./field.ts";

const isTextOnly: Neutral = {
  text: '["text"]',
  holds: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
};

/** `best_of` generates more answers than it returns. */
const isNumberOfAnswers: Neutral = {
  text: "the value of n, or 1 without n",
  holds: (value, body) => value === (body.n ?? 1),
};

const SCHEDULING = "It says how the request is to be run or counted, not what is answered.";
const RESPONSES = "It is a field of OpenAI's POST /v1/responses.";

const SHARED = both(["OpenAI"], {
  model: heeded("The base's name, an adapter's name, or base:adapter."),
  max_tokens: heeded("Most tokens to generate: 16 by default for a prompt, the rest of the context for a chat."),
  temperature: heeded("0 is greedy."),
  top_p: heeded("Keeps the likeliest tokens whose probabilities reach it."),
  n: heeded("Number of answers to each prompt, with the seeds seed, seed + 1, …"),
  stop: heeded("Strings that end the answer."),
  seed: heeded("The same seed gives the same answer."),
  stream: heeded("Server-sent events."),
  stream_options: heeded("See the nested fields."),
  presence_penalty: heeded("Lowers the logits of tokens that the answer has."),
  frequency_penalty: heeded("Lowers the logits of tokens by how often the answer has them."),
  logit_bias: heeded("Token id → what is added to its logit."),
  user: harmless("Nothing is kept by user."),
  service_tier: harmless(SCHEDULING),
  metadata: harmless("Nothing is kept of a request."),
  store: harmless("Nothing is kept of a request."),
  prompt_cache_key: harmless("Prompts that begin alike share their beginning without it."),
  prompt_cache_retention: harmless("Prompts that begin alike share their beginning without it."),
  prompt_cache_options: harmless("Prompts that begin alike share their beginning without it."),
  safety_identifier: harmless("Nothing is kept by user."),
  input: refused(nothing, RESPONSES),
  instructions: refused(empty, RESPONSES),
  max_output_tokens: refused(nothing, 'Send "max_tokens".'),
  previous_response_id: refused(nothing, RESPONSES),
  conversation: refused(nothing, RESPONSES),
  extra_body: refused(empty, "It is an argument of a client library. Send what it holds at the top level."),
});

const CHAT = [
  ...only("chat", ["OpenAI"], {
    messages: heeded("The conversation, which the model's chat template renders."),
    max_completion_tokens: heeded("The newer name of max_tokens; it wins over it."),
    reasoning_effort: heeded(
      "The template's variable reasoning_effort; of a template that has enable_thinking alone, none switches it off.",
    ),
    web_search_options: refused(nothing, "The server searches nothing."),
    audio: refused(nothing, "The server answers text alone."),
    data_sources: refused(empty, "The server searches nothing."),
  }),
  ...only("chat", ["OpenAI"], { top_logprobs: heeded("Alternatives that each token's log-probability lists.") }, is(0)),
  ...only(
    "chat",
    ["OpenAI"],
    { tools: heeded("Given to the template. Calls that the model writes become tool_calls.") },
    empty,
  ),
  ...only(
    "chat",
    ["OpenAI"],
    { parallel_tool_calls: heeded("false: an answer has one call at most.") },
    is(true, false),
  ),
  ...only("chat", ["OpenAI"], { functions: refused(empty, 'Send "tools".') }, empty),
  ...only("chat", ["OpenAI"], { modalities: refused(isTextOnly, "The server answers text alone.") }, isTextOnly),
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
    prediction: harmless("It is a hint that makes some servers faster."),
    verbosity: harmless("It is a hint to models that were trained to know it."),
  }),
];

const COMPLETIONS: Field[] = [
  ...only("completions", ["OpenAI"], {
    prompt: heeded("A string, strings, token ids, or lists of token ids."),
  }),
  {
    name: "best_of",
    servers: ["OpenAI"],
    treatment: {
      completions: heeded("Answers to generate, of which the n with the highest mean log-probability are sent."),
      chat: refused(isNumberOfAnswers, 'Send "n" and choose among the answers.'),
    },
  },
  ...only("completions", ["OpenAI"], { suffix: refused(empty, "Text cannot be inserted before a suffix.") }, empty),
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
      completions: heeded("Alternatives that each token's log-probability lists; 0 is the token alone."),
      chat: heeded("Whether each token's log-probability is answered."),
    },
  },
];

export const OPENAI_FIELDS: readonly Field[] = [...SHARED, ...CHAT, ...COMPLETIONS];
