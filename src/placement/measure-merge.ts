/**
 * Measures the effect of merging by scoring the same prompts live and merged. The engine reports log-probabilities of
 * the likeliest tokens, which stand in for the logits. Equal distributions give a difference of zero with logits and
 * with log-probabilities.
 */
import type { MergeReport } from "../adapter/merge-report.ts";
import { GREEDY, type SequenceRequest, type SequenceStream } from "../engine/engine.ts";
import type { TokenLogprob } from "../engine/protocol.ts";

type Submit = (request: SequenceRequest) => SequenceStream;

const NUM_PROMPTS = 4;
const PROMPT_TOKENS = 48;
const NUM_TOP = 20;

/** @param vocabSize the probes' ids are below it. @param maxLen maximum number of tokens of a prompt. */
export async function measureMerge(
  generation: string,
  live: Submit,
  merged: Submit,
  vocabSize: number,
  maxLen: number,
): Promise<MergeReport> {
  const startedAt = performance.now();
  let maxAbsLogitDifference = 0;
  let klSum = 0;
  let positions = 0;
  for (let i = 0; i < NUM_PROMPTS; i++) {
    const promptIds = probe(i, Math.min(PROMPT_TOKENS, maxLen), vocabSize);
    const request = scoringRequest(promptIds, generation);
    const [expected, actual] = await Promise.all([
      scores(live(request)),
      scores(merged({ ...request, adapter: null })),
    ]);
    expected.forEach((position, t) => {
      const other = actual[t];
      if (!other) throw new Error("internal: a merged engine scored fewer positions than the live one");
      maxAbsLogitDifference = Math.max(maxAbsLogitDifference, largestDifference(position, other));
      klSum += divergence(position, other);
      positions += 1;
    });
  }
  return {
    maxAbsLogitDifference,
    kl: positions === 0 ? 0 : klSum / positions,
    seconds: (performance.now() - startedAt) / 1000,
  };
}

/** Ids spread over the vocabulary; the same ids every time. */
function probe(index: number, length: number, vocabSize: number): Int32Array {
  return Int32Array.from({ length }, (_, t) => (index * 7919 + t * 104_729 + 13) % vocabSize);
}

function scoringRequest(promptIds: Int32Array, generation: string): SequenceRequest {
  return {
    tenant: "default",
    promptIds,
    adapter: { generation },
    sampling: GREEDY,
    maxTokens: 0,
    minTokens: 0,
    stopIds: [],
    numLogprobs: null,
    numPromptLogprobs: NUM_TOP,
    deadlineMs: null,
  };
}

async function scores(stream: SequenceStream): Promise<readonly TokenLogprob[]> {
  for await (const event of stream) if (event.type === "prompt-scored") return event.logprobs;
  throw new Error("internal: a probe was not scored");
}

/** Compared over the tokens that both list. */
function largestDifference(expected: TokenLogprob, actual: TokenLogprob): number {
  const others = new Map(actual.topIds.map((id, i) => [id, actual.topLogprobs[i]]));
  const differences = expected.topIds.map((id, i) =>
    Math.abs((expected.topLogprobs[i] ?? NaN) - (others.get(id) ?? NaN)),
  );
  return Math.max(
    Math.abs(expected.logprob - actual.logprob),
    ...differences.filter((difference) => !Number.isNaN(difference)),
  );
}

/** KL over the tokens that both list, with the rest counted as one token. */
function divergence(expected: TokenLogprob, actual: TokenLogprob): number {
  const others = new Map(actual.topIds.map((id, i) => [id, actual.topLogprobs[i]]));
  let sum = 0;
  let [restExpected, restActual] = [1, 1];
  expected.topIds.forEach((id, i) => {
    const [p, q] = [expected.topLogprobs[i], others.get(id)];
    if (p === undefined || q === undefined) return;
    sum += Math.exp(p) * (p - q);
    restExpected -= Math.exp(p);
    restActual -= Math.exp(q);
  });
  if (restExpected > 1e-9 && restActual > 1e-9) sum += restExpected * Math.log(restExpected / restActual);
  return Math.max(0, sum); // rounding can push equal distributions below 0
}
