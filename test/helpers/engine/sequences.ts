/** Sequence requests for tests of the engine, with everything neutral that a test does not name. */
import { GREEDY, type SequenceRequest } from "../../../src/engine/engine.ts";
import type { SequenceSpec } from "../../../src/engine/protocol.ts";

/** A greedy request for a few tokens of the base. */
export function sequenceRequest(
  promptIds: readonly number[],
  overrides: Partial<Omit<SequenceRequest, "promptIds">> = {},
): SequenceRequest {
  return {
    tenant: "default",
    promptIds: Int32Array.from(promptIds),
    adapter: null,
    sampling: GREEDY,
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
