/** Sampling state of one sequence between its tokens: the random stream, and the counts for the penalties. */
import { type RandomState, seedRandom } from "../../tensor/random.ts";
import type { SamplingParams } from "../protocol.ts";

/** The random stream and token counts of one sequence. */
export interface SamplingState {
  readonly params: SamplingParams;
  readonly random: RandomState;
  /** Distinct ids of prompt and output; kept only for the repetition penalty. */
  readonly seenIds: Set<number> | null;
  /** Number of times each id was generated; kept only for frequency and presence penalties. */
  readonly outputCounts: Map<number, number> | null;
  /** The generated ids; kept only for bad words. */
  readonly outputIds: number[] | null;
}

/** The state at the start of a sequence. */
export function createSamplingState(params: SamplingParams, promptIds: Int32Array): SamplingState {
  return {
    params,
    random: seedRandom(params.seed),
    seenIds: params.repetitionPenalty === 1 ? null : new Set(promptIds),
    outputCounts: params.presencePenalty === 0 && params.frequencyPenalty === 0 ? null : new Map(),
    outputIds: params.badWords.length === 0 ? null : [],
  };
}

/** Notes a generated token for the penalties. */
export function recordToken(state: SamplingState, tokenId: number): void {
  state.seenIds?.add(tokenId);
  state.outputIds?.push(tokenId);
  state.outputCounts?.set(tokenId, (state.outputCounts.get(tokenId) ?? 0) + 1);
}

/** A state that continues as the given one does, without changing it. */
export function copyState({ params, random, seenIds, outputCounts, outputIds }: SamplingState): SamplingState {
  return {
    params,
    random: random.slice(),
    seenIds: seenIds && new Set(seenIds),
    outputCounts: outputCounts && new Map(outputCounts),
    outputIds: outputIds && [...outputIds],
  };
}
