/** The `usage` of an answer, as OpenAI counts it. */

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Only where the prefix cache had something of the prompt. */
  readonly prompt_tokens_details?: { readonly cached_tokens: number };
}

/** @param numCached prompt tokens that were not computed again */
export function usageOf(promptTokens: number, numCached: number, completionTokens: number): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(numCached > 0 ? { prompt_tokens_details: { cached_tokens: numCached } } : {}),
  };
}
