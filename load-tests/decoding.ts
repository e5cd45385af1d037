/** Decode steps of an engine's model runner in this process, for scenarios that measure the cost of a step. */
import { BEST } from "../src/engine/sampling/logit-rows.ts";
import { openRunner } from "../src/engine/process/open-runner.ts";
import type { DecodeRow, ModelRunner, ReadyAdapter } from "../src/engine/contracts.ts";
import { seedRandom } from "../src/tensor/random.ts";
import { emptyStore, engineOptions } from "./engine-settings.ts";
import type { BenchOptions } from "./options.ts";
import { randomIds } from "./inputs/random-values.ts";
import { secondsOf } from "./rounds.ts";

/** Decoding rows of an opened runner. */
export const MAX_ROWS = 16;
/** Positions behind a row's context that its cache has room for: the engine's own chunk. */
export const CHUNK_TOKENS = 64;

/**
 * The runner as the engine process opens it, with `MAX_ROWS` decoding rows. @param scratch a directory of the
 * scenario's own
 */
export async function openDecoding(dir: string, scratch: string, options: BenchOptions): Promise<ModelRunner> {
  const runner = await openRunner(engineOptions(dir, await emptyStore(scratch), options));
  for (let id = 0; id < MAX_ROWS; id++) {
    runner.kv.admit(id, options.contextTokens + CHUNK_TOKENS);
    runner.kv.startDecoding(id);
  }
  return runner;
}

/** Rows with random tokens, and with these adapters as far as they go. */
export function decodingRows(
  { vocabSize }: ModelRunner,
  numRows: number,
  past: number,
  adapters: readonly ReadyAdapter[] = [],
): DecodeRow[] {
  const ids = randomIds(numRows, vocabSize, seedRandom(2));
  return Array.from(ids, (tokenId, id) => ({ id, tokenId, past, adapter: adapters[id] ?? null }));
}

/** Tokens/s of `numSteps` greedy steps with these rows. */
export async function decodeRate(runner: ModelRunner, of: readonly DecodeRow[], numSteps: number): Promise<number> {
  const rows = of.map((row) => ({ ...row, need: BEST }));
  await runner.decode(rows); // writes the adapters of its rows, as the first step of every new batch does
  const seconds = await secondsOf(async () => {
    for (let step = 0; step < numSteps; step++) await runner.decode(rows);
  });
  return (rows.length * numSteps) / seconds;
}

/**
 * Prefill tokens/s: chunks behind a first one, without logits, as many as take about as long as the decode steps of a
 * sample.
 */
export async function prefillRate(
  runner: ModelRunner,
  adapter: ReadyAdapter | null,
  { numSteps, contextTokens }: Pick<BenchOptions, "numSteps" | "contextTokens">,
): Promise<number> {
  const tokenIds = randomIds(CHUNK_TOKENS, runner.vocabSize, seedRandom(3));
  const numChunks = Math.max(1, Math.ceil(numSteps / 4));
  const past = Math.min(contextTokens, CHUNK_TOKENS);
  const seconds = await secondsOf(async () => {
    for (let chunk = 0; chunk < numChunks; chunk++)
      await runner.prefill({ id: 0, past, tokenIds, adapter, logitPositions: [] });
  });
  return (numChunks * CHUNK_TOKENS) / seconds;
}
