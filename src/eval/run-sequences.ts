/** Runs prompts through the engine: greedy generation, and log-probabilities of given tokens. Knows no metric. */
import type { EncodedExample } from "../data/encode.ts";
import { type Engine, PLAIN_REQUEST, type SequenceRequest } from "../engine/engine.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** The engine that runs sequences, and the adapter; null: the base itself. */
export interface Runner {
  readonly engine: Pick<Engine, "submit">;
  readonly adapter: SequenceRequest["adapter"];
}

/** The text that follows a prompt, without special tokens and the end token. @throws {AppError} */
export async function generate(
  { engine, adapter }: Runner,
  tokenizer: Tokenizer,
  promptIds: Int32Array,
  limits: { readonly maxTokens: number; readonly stopIds: readonly number[] },
): Promise<string> {
  const stops = new Set(limits.stopIds);
  const ids: number[] = [];
  for await (const event of engine.submit({ ...PLAIN_REQUEST, promptIds, adapter, ...limits }))
    if (event.type === "token" && !stops.has(event.tokenId)) ids.push(event.tokenId);
  return tokenizer.decode(ids);
}

/** Sum of −log p over the tokens that the loss counts. @throws {AppError} */
export async function lossOf({ engine, adapter }: Runner, { ids, lossMask }: EncodedExample): Promise<number> {
  let sum = 0;
  for await (const event of engine.submit({ ...PLAIN_REQUEST, promptIds: ids, adapter, numPromptLogprobs: 0 })) {
    if (event.type !== "prompt-scored") continue;
    // The engine reports tokens 1… of the prompt, whole; position 0 is never counted.
    if (event.logprobs.length !== ids.length - 1) throw new Error("internal: the engine scored a part of a prompt");
    event.logprobs.forEach(({ logprob }, i) => {
      if (lossMask[i + 1] === 1) sum -= logprob;
    });
  }
  return sum;
}

/**
 * Runs `work` on every item in order, at most `numInFlight` at a
 * time. @throws the first failure; no new item is started after it.
 */
export async function runAll<T, R>(
  items: readonly T[],
  numInFlight: number,
  work: (item: T) => Promise<R>,
  onDone: (numDone: number) => void = () => undefined,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let numDone = 0;
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !hasFailed) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T); // below items.length
      } catch (error) {
        hasFailed = true;
        throw error;
      }
      onDone(++numDone);
    }
  };
  await Promise.all(Array.from({ length: Math.min(numInFlight, items.length) }, lane));
  return results;
}
