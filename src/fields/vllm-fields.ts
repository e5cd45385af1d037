/** Fields that vLLM adds to OpenAI's. Source: the protocol classes of vLLM's OpenAI server, 0.8 to 0.15. */
import { both, empty, type Field, harmless, heeded, is, nothing, only, refused } from "./field.ts";

const MEDIA = "It is about images, audio or video, which the server refuses.";
const NOT_PART = "It is about a list that the answer does not have.";

const HEEDED = both(["vLLM"], {
  top_k: heeded("Number of likeliest tokens to keep. 0 and -1 keep all."),
  min_p: heeded("Keeps tokens with at least this share of the likeliest token's probability."),
  repetition_penalty: heeded("A number above 1 lowers the logits of tokens that the prompt or the answer has."),
  ignore_eos: heeded("The model's end tokens do not end the answer."),
  min_tokens: heeded("Minimum number of tokens: before that, neither end tokens nor stop strings end the answer."),
  stop_token_ids: heeded("Token ids that end the answer."),
  skip_special_tokens: heeded("Whether special tokens are left out of the text."),
  return_token_ids: heeded("Each choice has token_ids and prompt_token_ids."),
  include_stop_str_in_output: heeded("The answer ends with the stop string or stop token that ended it."),
  bad_words: heeded("Words that the model must not write. A token that would complete one is not chosen."),
  allowed_token_ids: heeded("The token ids that may be chosen. End tokens may be chosen only if they are among them."),
  prompt_logprobs: heeded("Scores every prompt token but the first, with 0 to 20 alternatives. Not with stream."),
  truncate_prompt_tokens: heeded("Number of tokens of each prompt to keep. -1 keeps as many as fit."),
  truncation_side: heeded("The side that truncate_prompt_tokens cuts: left (the default) or right."),
  cache_salt: heeded("Prompts share the computation of a common beginning only if they have the same salt."),
});

const REFUSED = both(["vLLM"], {
  use_beam_search: refused(is(false), "Answers are drawn token by token."),
  length_penalty: refused(is(1), "It weighs the beams of a beam search, which the server does not have."),
  early_stopping: refused(is(false), "It ends a beam search, which the server does not have."),
  logits_processors: refused(empty, "The server runs no code of its callers."),
  prompt_embeds: refused(empty, "Prompts are text or token ids."),
  logprob_token_ids: refused(nothing, 'Send "logprobs" with enough alternatives.'),
  prompt_logprob_token_ids: refused(nothing, 'Send "prompt_logprobs".'),
  prompt_logprob_start: refused(nothing, 'Send "prompt_logprobs", which begins at the second token.'),
  return_tokens_as_token_ids: refused(is(false), 'Send "return_token_ids".'),
  return_prompt_text: refused(is(false), 'Send "return_token_ids", which returns the prompt\'s ids.'),
  watermarking: refused(is(false)),
  thinking_token_budget: refused(is(-1), 'Send "max_tokens".'),
  repetition_detection: refused(nothing, 'Send "repetition_penalty" or "stop".'),
  priority: refused(is(0), "Tenants take turns by the number of their tokens."),
  kv_transfer_params: refused(empty),
  ec_transfer_params: refused(empty),
  vllm_xargs: refused(empty),
  extra_args: refused(empty),
  trace_decode_token_ids: refused(empty),
  detokenize: refused(is(true), "The answer is text."),
});

const HARMLESS = both(["vLLM"], {
  request_id: harmless("Send the header x-request-id. The answer repeats it."),
  session_id: harmless("The server stores nothing between requests."),
  spaces_between_special_tokens: harmless("Tokens of a fast tokenizer bring their own spaces."),
  stream_interval: harmless("Every chunk is sent at once. The joined text is the same."),
  skip_reading_prefix_cache: harmless("Reused beginnings are bit-identical to computed ones."),
  return_token_offsets: harmless("vLLM heeds it only on its render routes."),
  routed_experts_prompt_start: harmless(NOT_PART),
  return_mm_kwargs: harmless(MEDIA),
  media_io_kwargs: harmless(MEDIA),
  mm_processor_kwargs: harmless(MEDIA),
});

const CHAT = [
  ...only(
    "chat",
    ["vLLM", "llama.cpp"],
    { add_generation_prompt: heeded("Whether the prompt ends with the template's opening of the assistant's turn.") },
    is(true),
  ),
  ...only(
    "chat",
    ["vLLM", "SGLang"],
    { continue_final_message: heeded("The answer continues the last message. Needs add_generation_prompt false.") },
    is(false),
  ),
  ...only(
    "chat",
    ["vLLM", "SGLang", "llama.cpp"],
    { chat_template_kwargs: heeded("More variables for the chat template.") },
    empty,
  ),
  ...only(
    "chat",
    ["vLLM"],
    {
      chat_template: heeded("Names one of the model's own templates. A request cannot contain a template."),
      include_reasoning: heeded("false leaves the reasoning out of the answer."),
      documents: heeded("The variable `documents` of the chat template."),
    },
    empty,
  ),
];

const ADD_SPECIAL_TOKENS: Field = {
  name: "add_special_tokens",
  servers: ["vLLM"],
  treatment: {
    completions: heeded("Whether prompts given as text get the tokenizer's special tokens."),
    chat: refused(is(false), "The chat template writes the special tokens itself."),
  },
};

export const VLLM_FIELDS: readonly Field[] = [...HEEDED, ...REFUSED, ...HARMLESS, ...CHAT, ADD_SPECIAL_TOKENS];
