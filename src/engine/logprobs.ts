/**
 * Log-probabilities of the model's own distribution: log-softmax of the raw logits in float64, before temperature, bias and
 * penalties (OpenAI's meaning, vLLM's `raw_logprobs`). Pure; knows nothing of sampling.
 */
import { expOfNegative } from "./exp.ts";
import type { TokenLogprob } from "./protocol.ts";
import { argmax, type SamplerScratch } from "./sampler.ts";
import { selectTop } from "./select.ts";
// Indices are bounded by their loops, hence `!`.

/**
 * Log-probability of a token, and of the `numTop` likeliest ones, best first (lower id first among equals).
 * @param logits float32 [V], not written to. @throws {AppError} internal_error where a logit is NaN or infinite.
 */
export function tokenLogprob(
  logits: Float32Array,
  tokenId: number,
  numTop: number,
  scratch: SamplerScratch,
): TokenLogprob {
  const max = logits[argmax(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += expOfNegative(logits[i]! - max);
  const logSum = Math.log(sum);
  // Relative to the maximum first: its own size then costs no digits.
  const logprobOf = (id: number): number => logits[id]! - max - logSum;
  const topIds = Array.from(scratch.ids.subarray(0, selectTop(logits, numTop, scratch.ids)));
  topIds.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return { logprob: logprobOf(tokenId), topIds, topLogprobs: topIds.map(logprobOf) };
}
