/** The response object of OpenAI's API: the request's own settings, echoed, beside output, state and usage. */
import type { ResponsesRequest } from "./request-schema.ts";

export type ResponseState =
  | { readonly status: "in_progress" | "completed" }
  | { readonly status: "incomplete"; readonly incompleteReason: "max_output_tokens" }
  | { readonly status: "failed"; readonly error: { readonly code: string; readonly message: string } };

export interface ResponseFacts {
  readonly id: string;
  readonly createdAt: number;
  readonly model: string;
  readonly state: ResponseState;
  readonly output: readonly object[];
  readonly isKept: boolean;
  readonly usage: object | null;
}

export function responseBody(asked: ResponsesRequest, facts: ResponseFacts): object {
  const { state } = facts;
  return {
    id: facts.id,
    object: "response",
    created_at: facts.createdAt,
    completed_at: state.status === "completed" ? Math.floor(Date.now() / 1000) : null,
    status: state.status,
    background: false,
    error: state.status === "failed" ? state.error : null,
    incomplete_details: state.status === "incomplete" ? { reason: state.incompleteReason } : null,
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: asked.metadata ?? {},
    model: facts.model,
    output: facts.output,
    parallel_tool_calls: asked.parallel_tool_calls ?? true,
    previous_response_id: asked.previous_response_id ?? null,
    reasoning: { effort: asked.reasoning?.effort ?? null, summary: asked.reasoning?.summary ?? null },
    service_tier: "default",
    store: facts.isKept,
    temperature: asked.temperature ?? null,
    text: { format: asked.text?.format ?? { type: "text" } },
    tool_choice: asked.tool_choice ?? "auto",
    tools: asked.tools ?? [],
    top_logprobs: asked.top_logprobs ?? 0,
    top_p: asked.top_p ?? null,
    truncation: "disabled",
    usage: facts.usage,
    user: asked.user ?? null,
  };
}

/** The `usage` of a response. */
export function responseUsage(
  promptTokens: number,
  numCached: number,
  numTokens: number,
  numReasoning: number,
): object {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: numCached },
    output_tokens: numTokens,
    output_tokens_details: { reasoning_tokens: numReasoning },
    total_tokens: promptTokens + numTokens,
  };
}
