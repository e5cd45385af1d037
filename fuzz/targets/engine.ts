/**
 * A sequence as the server sends it to the engine. Its form is our own, since both ends of the channel are. Its numbers
 * and lists are the client's.
 */
import { deserialize, serialize } from "node:v8";
import type { SamplingParams, SequenceSpec } from "../../src/engine/protocol.ts";
import { checkSpec } from "../../src/engine/sequence-spec.ts";
import { damagedBytes } from "../inputs/bytes.ts";
import { MAX_SECONDS, type Target } from "../target.ts";

const LIMITS = { vocabSize: 1000, maxModelLen: 64 };
const NUMBERS = new Uint8Array(Float64Array.of(3, 1, 2, 3, 5, 999, 7, 0, 1, 0.5, 8, 2, 0, 4).buffer);

/** Numbers for the fields, one after the other; then numbers without end. */
function* numbersIn(input: Uint8Array): Generator<number, never> {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  for (let at = 0; at + 8 <= input.byteLength; at += 8) yield view.getFloat64(at, true);
  for (let n = 0; ; n++) yield n;
}

function specOf(input: Uint8Array): Omit<SequenceSpec, "id"> {
  const numbers = numbersIn(input);
  const next = () => numbers.next().value;
  const list = () => Array.from({ length: Math.min(40, Math.abs(Math.trunc(next())) || 0) }, next);
  const sampling: SamplingParams = {
    temperature: next(),
    topP: next(),
    topK: next(),
    minP: next(),
    repetitionPenalty: next(),
    presencePenalty: next(),
    frequencyPenalty: next(),
    logitBias: list().map((id) => [id, next()] as const),
    allowedIds: Int32Array.from(list()),
    badWords: [list(), list()],
    seed: next(),
  };
  return {
    tenant: "default",
    promptIds: Int32Array.from(list()),
    adapter: null,
    sampling,
    maxTokens: next(),
    minTokens: next(),
    stopIds: list(),
    numLogprobs: next(),
    numPromptLogprobs: next(),
    deadlineMs: next(),
  };
}

const sequence: Target = {
  name: "engine-sequence",
  makeInput: (random) => damagedBytes(NUMBERS, NUMBERS, random),
  read: (input) => checkSpec(deserialize(serialize(specOf(input))) as Omit<SequenceSpec, "id">, LIMITS),
  maxSeconds: MAX_SECONDS,
};

export const ENGINE_TARGETS: readonly Target[] = [sequence];
