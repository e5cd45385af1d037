/**
 * Fields of SGLang, llama.cpp's server, TGI and LoRAX beside OpenAI's and vLLM's. Source: their servers' API
 * references.
 */
import {
  both,
  empty,
  type Field,
  harmless,
  heeded,
  is,
  type Neutral,
  nothing,
  only,
  refused,
  without,
} from "./field.ts";

const SAMPLER = "Tokens are drawn only by temperature, top_k, top_p, min_p and three penalties.";
const DETAILS = "It asks for details that the answer does not have.";
const ROUTING = "It selects a process of a cluster.";
const SPEED = "It makes some servers faster and does not change the answer.";
const TEMPLATE = 'Send the template\'s variables in "chat_template_kwargs".';
const MEDIA = "The server accepts only text.";

/** In TGI and LoRAX, false is greedy at any temperature. */
const agreesWithTemperature: Neutral = {
  text: "false with temperature 0, true with another",
  holds: (value, body) => typeof value === "boolean" && value === (body.temperature !== 0),
};

const hasNoPenalty: Neutral = {
  text: "-1; any, while no penalty is set",
  holds: (value, body) =>
    value === -1 ||
    ((body.presence_penalty ?? 0) === 0 && (body.frequency_penalty ?? 0) === 0 && (body.repetition_penalty ?? 1) === 1),
};

const SGLANG = both(["SGLang"], {
  no_stop_trim: heeded("The same as include_stop_str_in_output."),
  stop_regex: refused(empty, 'Send "stop".'),
  return_hidden_states: refused(is(false), DETAILS),
  return_routed_experts: refused(is(false), DETAILS),
  return_cached_tokens_details: refused(is(false), "usage.prompt_tokens_details has the number of cached tokens."),
  return_prompt_token_ids: refused(is(false), 'Send "return_token_ids".'),
  return_meta_info: refused(is(false), DETAILS),
  routed_experts_start_len: harmless("It is about a list that the answer does not have."),
  task: refused(nothing, TEMPLATE),
  session_params: refused(empty, "The server stores nothing between requests."),
  custom_params: refused(empty, "They are for a custom_logit_processor, which is refused."),
  custom_logit_processor: refused(empty, "The server runs no code of its callers."),
  input_ids: refused(empty, 'Send them as the "prompt" of POST /v1/completions.'),
  images_config: refused(empty, MEDIA),
  max_dynamic_patch: harmless("It is about images, which the server refuses."),
  min_dynamic_patch: harmless("It is about images, which the server refuses."),
  use_audio_in_video: refused(is(false), MEDIA),
  stream_reasoning: harmless("Reasoning is streamed as it is generated. The joined text is the same."),
  reasoning: refused(empty, TEMPLATE),
  thinking: refused(empty, TEMPLATE),
  enable_thinking: refused(nothing, TEMPLATE),
  extra_key: refused(empty, 'Send "cache_salt".'),
  rid: harmless("Send the header x-request-id. The answer repeats it."),
  custom_labels: harmless("Callers cannot label metrics."),
  sampling_params: refused(empty, "Send its content at the top level."),
  min_new_tokens: refused(is(0), 'Send "min_tokens".'),
  input_embeds: refused(empty, "Prompts are text or token ids."),
  return_logprob: refused(is(false), 'Send "logprobs" or "prompt_logprobs".'),
  top_logprobs_num: refused(is(0), 'Send "logprobs" or "prompt_logprobs".'),
  token_ids_logprob: refused(empty, 'Send "logprobs" or "prompt_logprobs".'),
  logprob_start_len: refused(is(-1), 'Send "prompt_logprobs", which begins at the second token.'),
  ngram_corpus_id: harmless(SPEED),
  bootstrap_host: harmless(ROUTING),
  bootstrap_port: harmless(ROUTING),
  bootstrap_room: harmless(ROUTING),
  routed_dp_rank: harmless(ROUTING),
  disagg_prefill_dp_rank: harmless(ROUTING),
  data_parallel_rank: harmless(ROUTING),
});

const SEPARATE_REASONING = only(
  "chat",
  ["SGLang"],
  { separate_reasoning: heeded("false leaves the reasoning in the text, marks included.") },
  is(true, false),
);

const LLAMA_CPP = both(["llama.cpp"], {
  n_predict: refused(is(-1), 'Send "max_tokens".'),
  n_keep: refused(is(0), 'Prompts that do not fit are refused. Send "truncate_prompt_tokens".'),
  n_discard: refused(is(0), 'Prompts that do not fit are refused. Send "truncate_prompt_tokens".'),
  n_indent: refused(is(0)),
  n_cmpl: refused(is(1), 'Send "n".'),
  n_probs: refused(is(0), 'Send "logprobs".'),
  min_keep: refused(is(0, 1), SAMPLER),
  repeat_penalty: refused(is(1), 'Send "repetition_penalty".'),
  repeat_last_n: refused(hasNoPenalty, "Penalties consider the whole answer."),
  penalize_nl: refused(is(false), SAMPLER),
  top_n_sigma: refused(is(-1, 0), SAMPLER),
  typical_p: refused(is(1), SAMPLER),
  typ_p: refused(is(1), SAMPLER),
  tfs_z: refused(is(1), SAMPLER),
  dynatemp_range: refused(is(0), SAMPLER),
  dynatemp_exponent: refused(without("dynatemp_range", is(0)), SAMPLER),
  xtc_probability: refused(is(0), SAMPLER),
  xtc_threshold: refused(without("xtc_probability", is(0)), SAMPLER),
  dry_multiplier: refused(is(0), SAMPLER),
  dry_base: refused(without("dry_multiplier", is(0)), SAMPLER),
  dry_allowed_length: refused(without("dry_multiplier", is(0)), SAMPLER),
  dry_penalty_last_n: refused(without("dry_multiplier", is(0)), SAMPLER),
  dry_sequence_breakers: refused(without("dry_multiplier", is(0)), SAMPLER),
  mirostat: refused(is(0), SAMPLER),
  mirostat_tau: refused(without("mirostat", is(0)), SAMPLER),
  mirostat_eta: refused(without("mirostat", is(0)), SAMPLER),
  adaptive_target: refused(is(-1), SAMPLER),
  adaptive_decay: refused(without("adaptive_target", is(-1)), SAMPLER),
  samplers: refused(empty, SAMPLER),
  t_max_predict_ms: refused(is(0, -1), "Send the header x-request-timeout-ms."),
  return_tokens: refused(is(false), 'Send "return_token_ids".'),
  return_progress: refused(is(false), DETAILS),
  timings_per_token: refused(is(false), DETAILS),
  post_sampling_probs: refused(is(false), "Log-probabilities are the model's own."),
  response_fields: refused(empty, DETAILS),
  input_prefix: refused(empty, "The server continues a prompt. It does not fill a gap between two texts."),
  input_suffix: refused(empty, "The server continues a prompt. It does not fill a gap between two texts."),
  input_extra: refused(empty, "The server continues a prompt. It does not fill a gap between two texts."),
  image_data: refused(empty, MEDIA),
  multimodal_data: refused(empty, MEDIA),
  reasoning_format: refused(is("auto", "deepseek"), 'Send "separate_reasoning": false to leave reasoning in the text.'),
  reasoning_budget: refused(is(-1), 'Send "max_tokens".'),
  reasoning_budget_message: refused(empty, TEMPLATE),
  reasoning_budget_tokens: refused(is(-1), 'Send "max_tokens".'),
  thinking_forced_open: refused(is(false), TEMPLATE),
  thinking_budget_tokens: refused(is(-1), 'Send "max_tokens".'),
  generation_prompt: refused(empty, TEMPLATE),
  parse_tool_calls: refused(is(true), "Calls that the model writes become tool_calls."),
  sse_ping_interval: harmless("Comments in a stream are not part of the answer."),
  cache_prompt: harmless("Reused beginnings are bit-identical to computed ones."),
  n_cache_reuse: harmless(SPEED),
  id_slot: harmless("The engine chooses the row of a request."),
  backend_sampling: harmless(SPEED),
});

const TGI = both(["TGI", "LoRAX"], {
  inputs: refused(nothing, 'Send "prompt" or "messages".'),
  parameters: refused(empty, "Send its content at the top level."),
  max_new_tokens: refused(nothing, 'Send "max_tokens".'),
  do_sample: refused(agreesWithTemperature, 'Send "temperature"; 0 is greedy.'),
  return_full_text: refused(is(false), 'Send "echo" to POST /v1/completions.'),
  ignore_eos_token: refused(is(false), 'Send "ignore_eos".'),
  stop_sequences: refused(empty, 'Send "stop".'),
  truncate: refused(nothing, 'Send "truncate_prompt_tokens".'),
  watermark: refused(is(false)),
  details: refused(is(false), DETAILS),
  decoder_input_details: refused(is(false), 'Send "prompt_logprobs".'),
  top_n_tokens: refused(is(0), 'Send "logprobs".'),
  return_k_alternatives: refused(is(0), 'Send "logprobs".'),
  tool_prompt: refused(empty, TEMPLATE),
  guideline: refused(empty, TEMPLATE),
  schema: refused(nothing, 'Send "response_format" or "structured_outputs".'),
});

export const OTHER_FIELDS: readonly Field[] = [...SGLANG, ...SEPARATE_REASONING, ...LLAMA_CPP, ...TGI];
