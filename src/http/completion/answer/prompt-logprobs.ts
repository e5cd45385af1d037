/**
 * `prompt_logprobs` as vLLM answers them: for every prompt token but the first, a map of token ids with their ranks and
 * texts.
 */
import type { Text } from "../../context.ts";
import type { PromptLogprob, TokenLogprob } from "../generation.ts";
import { finiteLogprob } from "./logprobs.ts";

interface RankedLogprob {
  readonly logprob: number;
  /** 1 is the likeliest. */
  readonly rank: number;
  readonly decoded_token: string;
}

/** One entry for each prompt token; null: the first token, which nothing precedes. */
export type PromptLogprobs = readonly (Readonly<Record<string, RankedLogprob>> | null)[];

/** @param scores of the prompt's tokens from the second on, with at least `numTop` alternatives each */
export function promptLogprobs(
  text: Text,
  promptIds: Int32Array,
  scores: readonly PromptLogprob[],
  numTop: number,
): PromptLogprobs {
  const entry = (id: number, logprob: number, rank: number): [string, RankedLogprob] => [
    String(id),
    { logprob: finiteLogprob(logprob), rank, decoded_token: new TextDecoder().decode(text.bytesOf(id)) },
  ];
  const entries = scores.map((score, i) => {
    const { topIds, topLogprobs } = withTop(score, numTop);
    const top = topIds.map((id, place) => entry(id, topLogprobs[place] ?? -Infinity, place + 1));
    return Object.fromEntries([...top, entry(promptIds[i + 1] ?? 0, score.logprob, score.rank)]);
  });
  return [null, ...entries];
}

/** A log-probability with only its first `numTop` alternatives. */
export function withTop(score: TokenLogprob, numTop: number): TokenLogprob {
  if (score.topIds.length <= numTop) return score;
  return { ...score, topIds: score.topIds.slice(0, numTop), topLogprobs: score.topLogprobs.slice(0, numTop) };
}
