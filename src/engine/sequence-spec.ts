/**
 * Checks a sequence before it is queued. Both processes call it: the server before it sends, the engine before it
 * queues. It stands apart from `sequence.ts` so that the server does not load the sampler with it.
 */
import { AppError } from "../errors.ts";
import type { SequenceSpec } from "./protocol.ts";

/**
 * Refuses a sequence that the runner could not compute.
 * @throws {AppError} invalid_request; context_length_exceeded where prompt and answer are longer than the model
 * accepts.
 */
export function checkSpec(
  spec: Omit<SequenceSpec, "id">,
  limits: { readonly vocabSize: number; readonly maxModelLen: number },
): void {
  const isToken = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < limits.vocabSize;
  const numPrompt = spec.promptIds.length;
  if (numPrompt === 0) throw new AppError("invalid_request", "The prompt is empty. Send at least one token.");
  if (!Number.isInteger(spec.maxTokens) || spec.maxTokens < 0)
    throw new AppError("invalid_request", `max_tokens must be a whole number of 0 or more, found ${spec.maxTokens}.`);
  if (numPrompt + spec.maxTokens > limits.maxModelLen)
    throw new AppError(
      "context_length_exceeded",
      `The context holds ${limits.maxModelLen} tokens, but the prompt has ${numPrompt} and the request asks for ${spec.maxTokens} more. Shorten the prompt or max_tokens.`,
    );
  const stray = spec.promptIds.find((id) => !isToken(id)) ?? spec.sampling.logitBias.find(([id]) => !isToken(id))?.[0];
  const { allowedIds, badWords } = spec.sampling;
  const ofLists = allowedIds?.find((id) => !isToken(id)) ?? badWords.flat().find((id) => !isToken(id));
  const foreign = stray ?? ofLists ?? spec.stopIds.find((id) => !isToken(id));
  if (foreign !== undefined)
    throw new AppError("invalid_request", `Token ids must be from 0 to ${limits.vocabSize - 1}, found ${foreign}.`);
}
