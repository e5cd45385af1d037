/**
 * Isolation of rows that are longer than a block of the attention kernel, with more threads than a row has heads: the
 * kernel could then divide a row's positions among threads, and would do so only in small batches.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import type { DecodeRow } from "../../../src/engine/contracts.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { writeCheckpoint } from "../../helpers/models/checkpoints.ts";
import { freshId, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-long-rows-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const LENGTH = 600;

/**
 * Four heads of 64, as real models have them. As many positions of a head as fit into a cache of the CPU are one block.
 */
function longCheckpoint(): Promise<string> {
  const raw = {
    model_type: "qwen2",
    architectures: ["Qwen2ForCausalLM"],
    hidden_size: 256,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    vocab_size: 96,
    max_position_embeddings: LENGTH + 24,
    tie_word_embeddings: true,
    eos_token_id: 0,
  };
  return writeCheckpoint(join(scratch, "long"), raw, { scale: 0.1 });
}

/** A prompt in chunks of the engine's size, and the row of the decode step after it. */
async function startRow({ runner }: TestRunner, length: number, seed: number): Promise<DecodeRow<AdapterRow>> {
  const id = freshId();
  runner.kv.admit(id, length + 1);
  const ids = Int32Array.from({ length }, (_, i) => (seed + i * i) % runner.vocabSize);
  for (let past = 0; past < length; past += 64) {
    const tokenIds = ids.subarray(past, past + 64);
    await runner.prefill({ id, past, tokenIds, adapter: null, logitPositions: [] });
  }
  runner.kv.startDecoding(id);
  return { id, tokenId: 5, past: length, adapter: null };
}

/** The first row's logits in a step of all rows. */
async function firstOf({ runner }: TestRunner, rows: readonly DecodeRow<AdapterRow>[]): Promise<Float32Array> {
  return (await (await runner.decode(rows)).all()).slice(0, runner.vocabSize);
}

it.each([1, 8])("a long row has the same bits alone and beside others, with %i threads", async (numThreads) => {
  const base = await builtBase(await longCheckpoint(), { targets: "none" });
  await using test = await openTestRunner(base, "cpu", numThreads);
  const first = await startRow(test, LENGTH, 17);
  const alone = await firstOf(test, [first]);
  const second = await startRow(test, LENGTH, 40);
  expect(await firstOf(test, [first, second]), "beside a row of its length").toEqual(alone);
  const third = await startRow(test, 200, 71);
  expect(await firstOf(test, [first, second, third]), "beside a shorter row").toEqual(alone);
});
