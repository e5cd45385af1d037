/**
 * Log-probabilities of the model's own distribution. They are the log-softmax of the raw logits in float64, before
 * temperature, bias and penalties (OpenAI's meaning, vLLM's `raw_logprobs`). Knows nothing of sampling.
 */
import { type Blocks, bestOf, blocksOf, sortByLogit, topOf } from "./blocks.ts";
import type { LogitRow, TopRow } from "./logit-rows.ts";
import type { PromptLogprob, TokenLogprob } from "../protocol.ts";
import type { SamplerScratch } from "./sampler.ts";
import { sumWeights } from "./weight-sums.ts";
// Indices are bounded by their loops, hence `!`.

/**
 * Log-probability of a token, and of the `numTop` likeliest ones, best first (lower id first among equals).
 * @param row not written to
 * @returns null where the candidates of a `TopRow` do not suffice. @throws {AppError} internal_error where a logit is
 * NaN or infinite.
 */
export function tokenLogprob(
  row: LogitRow,
  tokenId: number,
  numTop: number,
  scratch: SamplerScratch,
): TokenLogprob | null {
  return row.kind === "top"
    ? logprobOfTop(row, tokenId, numTop)
    : logprobOfRow(blocksOf(row, scratch.maxima), tokenId, numTop, scratch);
}

/**
 * Log-probability of a prompt token, with its rank: the number of tokens that are at least as likely, as vLLM counts.
 * @param row a whole one
 */
export function promptLogprob(row: LogitRow, tokenId: number, numTop: number, scratch: SamplerScratch): PromptLogprob {
  if (row.kind !== "whole") throw new Error("internal: a prompt's row of logits did not come whole");
  const blocks = blocksOf(row, scratch.maxima);
  return { ...logprobOfRow(blocks, tokenId, numTop, scratch), rank: rankOf(blocks, tokenId) };
}

function rankOf({ logits, maxima, blockSize }: Blocks, tokenId: number): number {
  const logit = logits[tokenId]!;
  let rank = 0;
  for (let block = 0; block < maxima.length; block++) {
    if (maxima[block]! < logit) continue;
    const end = Math.min((block + 1) * blockSize, logits.length);
    for (let i = block * blockSize; i < end; i++) if (logits[i]! >= logit) rank++;
  }
  return rank;
}

function logprobOfRow(blocks: Blocks, tokenId: number, numTop: number, scratch: SamplerScratch): TokenLogprob {
  const { logits } = blocks;
  const max = logits[bestOf(blocks)]!;
  const logSum = Math.log(sumWeights(blocks, { max, scale: 1, limit: Infinity }, scratch.buckets));
  // The maximum is subtracted first, so that its own size costs no digits.
  const logprobOf = (id: number): number => logits[id]! - max - logSum;
  const size = numTop === 0 ? 0 : topOf(blocks, Math.min(numTop, logits.length), scratch.ids, scratch.heap);
  // A masked id is not an alternative, because it cannot be chosen.
  const topIds = Array.from(sortByLogit(logits, scratch.ids.subarray(0, size))).filter((id) => logits[id]! > -Infinity);
  return { logprob: logprobOf(tokenId), topIds, topLogprobs: topIds.map(logprobOf) };
}

function logprobOfTop({ ids, logits, sums }: TopRow, tokenId: number, numTop: number): TokenLogprob | null {
  const at = ids.indexOf(tokenId);
  if (sums === null || at < 0 || numTop > ids.length) return null;
  const logSum = Math.log(sums.unit);
  const logprobs = Array.from(logits, (logit) => logit - logits[0]! - logSum);
  return {
    logprob: logprobs[at]!,
    topIds: Array.from(ids.subarray(0, numTop)),
    topLogprobs: logprobs.slice(0, numTop),
  };
}
