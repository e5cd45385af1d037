/**
 * A completion as the engine would receive it, in the shape of vLLM's `GenerateRequest`: one object for each prompt.
 * Nothing is generated.
 */
import { randomUUID } from "node:crypto";
import type { GrammarSpec } from "../../grammar/grammar-spec.ts";
import type { AppContext, RequestContext } from "../context.ts";
import type { CompletionKind } from "./completion-kind.ts";
import type { SharedFields } from "./request-schema.ts";
import { type PreparedCompletion, withPreparedCompletion } from "./run.ts";

/** @param idPrefix of the request ids @throws {AppError} as the completion itself would. */
export async function renderCompletion<F extends SharedFields>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
  idPrefix: string,
): Promise<object[]> {
  return await withPreparedCompletion(context, c, kind, (request) => {
    const { fields, prompts, target } = request;
    const id = `${idPrefix}${randomUUID()}`;
    return prompts.map(({ ids }, index) => ({
      request_id: prompts.length === 1 ? id : `${id}-${index}`,
      token_ids: [...ids],
      features: null,
      sampling_params: samplingParams(fields, request),
      model: target.model,
      stream: fields.stream === true,
      stream_options: fields.stream_options ?? null,
      cache_salt: fields.cache_salt ?? null,
      priority: 0,
      kv_transfer_params: null,
    }));
  });
}

/**
 * The engine's parameters under the names of vLLM's `SamplingParams`. The seed is the caller's, or null for a random
 * one.
 */
function samplingParams(fields: SharedFields, { options, text, numSequences }: PreparedCompletion): object {
  const { sampling } = options;
  return {
    n: numSequences,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    repetition_penalty: sampling.repetitionPenalty,
    seed: fields.seed ?? null,
    stop: text.stop,
    stop_token_ids: fields.stop_token_ids ?? [],
    ignore_eos: fields.ignore_eos === true,
    max_tokens: options.maxTokens,
    min_tokens: options.minTokens,
    logprobs: options.numLogprobs,
    prompt_logprobs: options.numPromptLogprobs,
    skip_special_tokens: text.skipsSpecial,
    include_stop_str_in_output: text.includesStop,
    logit_bias: sampling.logitBias.length === 0 ? null : Object.fromEntries(sampling.logitBias),
    allowed_token_ids: sampling.allowedIds === null ? null : [...sampling.allowedIds],
    bad_words: fields.bad_words ?? [],
    structured_outputs: options.grammar ? structuredOutputs(options.grammar) : null,
  };
}

/** A grammar under the names of vLLM's `StructuredOutputsParams`. */
function structuredOutputs({ kind, text, whitespace }: GrammarSpec): object {
  const space = whitespace === undefined ? {} : { whitespace_pattern: whitespace };
  switch (kind) {
    case "json-object":
      return { json_object: true, ...space };
    case "json-schema":
      return { json: JSON.parse(text) as unknown, ...space };
    case "choice":
      return { choice: JSON.parse(text) as unknown };
    case "regex":
      return { regex: text };
    case "gbnf":
      return { grammar: text };
    case "structural-tag":
      return { structural_tag: text };
  }
}
