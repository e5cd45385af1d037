/** Sequence requests for tests of the engine, with everything neutral that a test does not name. */
import type { SequenceRequest } from "../../src/engine/engine.ts";
import type { SamplingParams, SequenceSpec } from "../../src/engine/protocol.ts";

/** Greedy, with every processor off. */
export const NEUTRAL: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: 0,
};

/** A greedy request for a few tokens of the base. */
export function sequenceRequest(
  promptIds: readonly number[],
  overrides: Partial<Omit<SequenceRequest, "promptIds">> = {},
): SequenceRequest {
  return {
    tenant: "default",
    promptIds: Int32Array.from(promptIds),
    adapter: null,
    sampling: NEUTRAL,
    maxTokens: 4,
    minTokens: 0,
    stopIds: [],
    numLogprobs: null,
    numPromptLogprobs: null,
    deadlineMs: null,
    ...overrides,
  };
}

/** The same with an id. */
export function sequenceSpec(
  id: number,
  promptIds: readonly number[],
  overrides: Partial<Omit<SequenceRequest, "promptIds">> = {},
): SequenceSpec {
  return { ...sequenceRequest(promptIds, overrides), id };
}
