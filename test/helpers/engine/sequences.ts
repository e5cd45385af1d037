/** Sequence requests for tests of the engine, with everything neutral that a test does not name. */
import { PLAIN_REQUEST, type SequenceRequest } from "../../../src/engine/engine.ts";
import type { SequenceSpec } from "../../../src/engine/protocol.ts";

/** A greedy request for a few tokens of the base. */
export function sequenceRequest(
  promptIds: readonly number[],
  overrides: Partial<Omit<SequenceRequest, "promptIds">> = {},
): SequenceRequest {
  return {
    ...PLAIN_REQUEST,
    promptIds: Int32Array.from(promptIds),
    maxTokens: 4,
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
