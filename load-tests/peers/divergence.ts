/**
 * The cost of a quantisation in answers: the Kullback-Leibler divergence of its next-token distribution from the
 * float32 model's, on text that the float32 model itself writes. Our distributions come from a runner in this process,
 * llama.cpp's from its server. llama.cpp's float32 file also shows that both compute the same model.
 */
// Indices are bounded by their loops, hence `!`.
import { openRunner } from "../../src/engine/process/open-runner.ts";
import type { ModelRunner } from "../../src/engine/contracts.ts";
import { nextUniform, seedRandom } from "../../src/tensor/random.ts";

/** Sequences, and their tokens (one chunk, so that every position's logits come from one step). */
const NUM_TEXTS = 8;
const TEXT_TOKENS = 64;

/** Token ids, and natural logarithms of the probabilities [TEXT_TOKENS, V] of what comes after each of them. */
export interface ScoredText {
  readonly ids: readonly number[];
  readonly logProbs: Float32Array;
}

type RunnerOptions = Parameters<typeof openRunner>[0];

/** Texts that the model of a base writes at temperature 1, from a random first token each, with its own scores. */
export async function writeTexts(options: RunnerOptions): Promise<readonly ScoredText[]> {
  return await withRunner(options, async (runner) => {
    const random = seedRandom(11);
    const texts: ScoredText[] = [];
    for (let id = 0; id < NUM_TEXTS; id++) {
      const ids = [Math.floor(nextUniform(random) * runner.vocabSize)];
      runner.kv.admit(id, TEXT_TOKENS);
      let logits = await (await runner.prefill(stepOf(id, ids, [0]))).all();
      runner.kv.startDecoding(id);
      while (ids.length < TEXT_TOKENS) {
        ids.push(sampled(logSoftmax(logits, runner.vocabSize), nextUniform(random)));
        if (ids.length === TEXT_TOKENS) break;
        const past = ids.length - 1;
        logits = await (await runner.decode([{ id, tokenId: ids[past]!, past, adapter: null }])).all();
      }
      runner.kv.release(id);
      texts.push({ ids, logProbs: await scored(runner, id, ids) });
    }
    return texts;
  });
}

/** Mean divergence of a base from the scores of the texts, in nats a token, text by text. */
export async function divergenceOfBase(
  options: RunnerOptions,
  texts: readonly ScoredText[],
): Promise<readonly number[]> {
  return await withRunner(options, async (runner) => {
    const means: number[] = [];
    for (const [id, text] of texts.entries())
      means.push(meanDivergence(text.logProbs, await scored(runner, id, text.ids), runner.vocabSize));
    return means;
  });
}

/** The same of a model that llama.cpp's server holds: one request a position, for all probabilities of one token. */
export async function divergenceOfLlama(
  url: string,
  texts: readonly ScoredText[],
  vocabSize: number,
): Promise<readonly number[]> {
  const means: number[] = [];
  for (const { ids, logProbs } of texts) {
    const theirs = new Float32Array(ids.length * vocabSize).fill(-Infinity);
    for (let at = 0; at < ids.length; at++)
      for (const { id, logprob } of await nextTokens(url, ids.slice(0, at + 1), vocabSize))
        theirs[at * vocabSize + id] = logprob;
    means.push(meanDivergence(logProbs, theirs, vocabSize));
  }
  return means;
}

interface LlamaAnswer {
  readonly completion_probabilities?: readonly {
    readonly top_logprobs: readonly { readonly id: number; readonly logprob: number }[];
  }[];
}

async function nextTokens(url: string, prompt: readonly number[], count: number) {
  const response = await fetch(`${url}/completion`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, n_predict: 1, n_probs: count, temperature: 0, cache_prompt: true }),
  });
  if (!response.ok) throw new Error(`llama.cpp's server answered ${response.status}: ${await response.text()}`);
  const [first] = ((await response.json()) as LlamaAnswer).completion_probabilities ?? [];
  if (first?.top_logprobs.length !== count)
    throw new Error(`llama.cpp's server gave ${first?.top_logprobs.length ?? 0} of ${count} probabilities.`);
  return first.top_logprobs;
}

async function withRunner<T>(options: RunnerOptions, use: (runner: ModelRunner) => Promise<T>): Promise<T> {
  const runner = await openRunner(options);
  try {
    return await use(runner);
  } finally {
    await runner.close();
  }
}

const stepOf = (id: number, ids: readonly number[], logitPositions: readonly number[]) => ({
  id,
  past: 0,
  tokenIds: Int32Array.from(ids),
  adapter: null,
  logitPositions,
});

async function scored(runner: ModelRunner, id: number, ids: readonly number[]): Promise<Float32Array> {
  runner.kv.admit(id, TEXT_TOKENS);
  const logits = await (await runner.prefill(stepOf(id, ids, [...ids.keys()]))).all();
  const logProbs = logSoftmax(logits, runner.vocabSize);
  runner.kv.release(id);
  return logProbs;
}

/** Row by row, in float64. */
function logSoftmax(logits: Float32Array, vocabSize: number): Float32Array {
  const logProbs = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += vocabSize) {
    let highest = -Infinity;
    for (let i = start; i < start + vocabSize; i++) highest = Math.max(highest, logits[i]!);
    let sum = 0;
    for (let i = start; i < start + vocabSize; i++) sum += Math.exp(logits[i]! - highest);
    const shift = highest + Math.log(sum);
    for (let i = start; i < start + vocabSize; i++) logProbs[i] = logits[i]! - shift;
  }
  return logProbs;
}

function sampled(logProbs: Float32Array, chance: number): number {
  let rest = chance;
  for (let token = 0; token < logProbs.length; token++) {
    rest -= Math.exp(logProbs[token]!);
    if (rest <= 0) return token;
  }
  return logProbs.length - 1;
}

/** Σ p (ln p − ln q), a mean over rows. */
export function meanDivergence(ours: Float32Array, theirs: Float32Array, vocabSize: number): number {
  let sum = 0;
  for (let i = 0; i < ours.length; i++) {
    const probability = Math.exp(ours[i]!);
    if (probability > 0) sum += probability * (ours[i]! - theirs[i]!);
  }
  return sum / (ours.length / vocabSize);
}
