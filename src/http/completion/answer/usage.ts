/** The `usage` of an answer, as OpenAI counts it. */

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Always present, because clients read it without checking. */
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  /** Present where the model has reasoned. */
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}

/** @param numCached prompt tokens that were reused rather than computed */
export function usageOf(promptTokens: number, numCached: number, completionTokens: number, reasoningTokens = 0): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: numCached },
    ...(reasoningTokens > 0 ? { completion_tokens_details: { reasoning_tokens: reasoningTokens } } : {}),
  };
}
