/**
 * On real graphs, in every weight format and with adapters of every kind: what is reused has the bits of what is
 * computed.
 */
import { describe, expect, it } from "vitest";
import { decodeAdapter } from "../../../src/adapter/adapter-file.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { PrefixCache } from "../../../src/engine/kv/prefix-cache.ts";
import { chunkAt, reusablePastAt } from "../../../src/engine/chunks.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import { freshId, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";

const NUM_DECODED = 8;

interface Asked {
  readonly ids: readonly number[];
  readonly adapter: AdapterRow | null;
}

interface Answer {
  readonly numCached: number;
  /** Of the last prompt token and of every decoded one. */
  readonly logits: readonly Float32Array[];
}

/** All logits of a step, kept. */
async function logitsOf(step: ReturnType<TestRunner["runner"]["decode"]>): Promise<Float32Array> {
  return (await (await step).all()).slice();
}

/** Answers as the loop does. @param prefixes null: everything is computed */
async function answer({ runner }: TestRunner, prefixes: PrefixCache | null, asked: Asked): Promise<Answer> {
  const { ids, adapter } = asked;
  const prompt = {
    id: freshId(),
    tenant: "a",
    adapter: adapter && { generation: adapter.generation },
    promptIds: Int32Array.from(ids),
    numPromptLogprobs: null,
  };
  const logits: Float32Array[] = [];
  let numCached = 0;
  runner.kv.admit(prompt.id, ids.length + NUM_DECODED, ids.length);
  for (let past = 0; past < ids.length;) {
    const known = (await prefixes?.restore(prompt, past)) ?? past;
    numCached += known - past;
    const { length, isLast } = chunkAt(ids.length, known);
    const tokenIds = prompt.promptIds.subarray(known, known + length);
    const logitPositions = isLast ? [length - 1] : [];
    const row = runner.prefill({ id: prompt.id, past: known, tokenIds, adapter, logitPositions });
    if (isLast) logits.push(await logitsOf(row));
    else await row;
    const reusable = reusablePastAt({ past: known, length });
    if (reusable !== null) await prefixes?.keep(prompt, reusable);
    past = known + length;
  }
  runner.kv.startDecoding(prompt.id);
  for (let i = 0; i < NUM_DECODED; i++)
    logits.push(await logitsOf(runner.decode([{ id: prompt.id, tokenId: 3 + i, past: ids.length + i, adapter }])));
  runner.kv.release(prompt.id);
  return { numCached, logits };
}

const FORMATS = [
  { weights: "float32" },
  { weights: "int8", blockSize: 128 },
  { weights: "int8", blockSize: 32 },
  { weights: "int4", blockSize: 32 },
  { weights: "int4", blockSize: 128 },
] as const;

describe.each(FORMATS)("$weights, block $blockSize", (format) => {
  it("gives equal bits for a hit and a miss, from whichever sequence the prefix is and whatever came after it", async () => {
    const float32 = await longLlamaBase(512);
    const isPlain = format.weights === "float32";
    await using test = await openTestRunner(
      isPlain ? float32 : await longLlamaBase(512, { ...format, basisFrom: float32 }),
    );
    const files = [
      adapterFile(test.manifest, { seed: 1 }),
      adapterFile(test.manifest, { heads: 3, router: "full", seed: 2 }),
      adapterFile(test.manifest, { method: "sara", seed: 3 }),
      adapterFile(test.manifest, { method: "lora", rank: 8, seed: 4 }),
    ];
    const adapters = [null, ...files.map((file, i) => test.ready(decodeAdapter(file), `adapter-${i}`))];
    const shared = Array.from({ length: 160 }, (_, i) => 3 + ((i * 31) % 300));
    const prompts = [
      shared,
      [...shared, 5],
      [...shared.slice(0, 129), 9, 8],
      shared.slice(0, 128),
      shared.slice(0, 65),
    ];
    const prefixes = new PrefixCache(test.runner.kv);
    for (const adapter of adapters) {
      const cached: number[] = [];
      for (const ids of prompts) {
        const computed = await answer(test, null, { ids, adapter });
        const { numCached, logits } = await answer(test, prefixes, { ids, adapter });
        cached.push(numCached);
        expect(logits.length).toBe(computed.logits.length);
        for (const [at, row] of logits.entries()) expect(row, `row ${at}`).toEqual(computed.logits[at]);
      }
      expect(cached).toEqual([0, 128, 128, 64, 64]);
    }
  });
});

it("late in a prompt, where chunks are shorter, a hit has the bits of a miss", async () => {
  await using test = await openTestRunner(await longLlamaBase(2304));
  const shared = Array.from({ length: 2200 }, (_, i) => 3 + ((i * 31) % 300));
  const prefixes = new PrefixCache(test.runner.kv);
  // The last one diverges within the second chunk of a piece.
  for (const [ids, numCached] of [
    [shared, 0],
    [[...shared, 5, 6], 2176],
    [[...shared.slice(0, 2090), 9, 9, ...shared.slice(0, 60)], 2048],
  ] as const) {
    const computed = await answer(test, null, { ids, adapter: null });
    const reused = await answer(test, prefixes, { ids, adapter: null });
    expect(reused.numCached).toBe(numCached);
    for (const [at, row] of reused.logits.entries()) expect(row, `row ${at}`).toEqual(computed.logits[at]);
  }
});

describe("growing layer by layer", () => {
  it("gives the bits of a cache that was large from the start, while layers differ in size", async () => {
    await using test = await openTestRunner(await longLlamaBase(512));
    const { kv, vocabSize } = test.runner;
    const run = async (numAtOnce: number): Promise<{ logits: readonly Float32Array[]; sizes: Set<number> }> => {
      const id = freshId();
      kv.admit(id, 200, numAtOnce);
      const tokenIds = Int32Array.from({ length: 64 }, (_, i) => (i * 31) % vocabSize);
      await test.runner.prefill({ id, past: 0, tokenIds, adapter: null, logitPositions: [] });
      kv.startDecoding(id);
      const logits: Float32Array[] = [];
      const sizes = new Set<number>();
      for (let past = 64; past < 140; past++) {
        logits.push(await logitsOf(test.runner.decode([{ id, tokenId: past % vocabSize, past, adapter: null }])));
        sizes.add(kv.cache.bytes);
      }
      kv.release(id);
      return { logits, sizes };
    };
    const grown = await run(64);
    const whole = await run(140);
    expect(whole.sizes.size).toBe(1);
    expect(grown.sizes.size).toBe(kv.cache.shape.numLayers + 1);
    expect(Math.max(...grown.sizes)).toBe(Math.max(...whole.sizes));
    expect(grown.logits).toEqual(whole.logits);
  });
});
