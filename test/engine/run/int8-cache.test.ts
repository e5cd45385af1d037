/**
 * The laws of the engine with an int8 cache, on every family: what is kept is near the numbers of a float32 cache, and
 * a row has the same bits alone, in any batch and after a prefix that was computed for another row.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Comparison } from "../../../scripts/agreement/metrics.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import type { DecodeRow } from "../../../src/engine/contracts.ts";
import { bytesPerPosition } from "../../../src/engine/kv/kv-cache.ts";
import { cacheParts } from "../../../src/model/ports.ts";
import { float16ToFloat32 } from "../../../src/tensor/float16.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { writeCheckpoint } from "../../helpers/models/checkpoints.ts";
import { casesIn, fixturesDir } from "../../helpers/fixtures.ts";
import { neighbours } from "../../helpers/engine/random-rows.ts";
import { freshId, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-int8-cache-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Two blocks a head, as most real models have, and a head that is padded to 24. */
const written = (headSize: number): Promise<string> =>
  writeCheckpoint(join(scratch, `heads-of-${headSize}`), {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_size: 3 * headSize,
    intermediate_size: 100,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: headSize,
    vocab_size: 97,
    max_position_embeddings: 100,
    tie_word_embeddings: false,
    eos_token_id: 0,
  });

const models = fixturesDir("models");
const checkpoints = new Map<string, () => Promise<string>>([
  ...casesIn(models, "expected.json").map((name) => [name, () => Promise.resolve(join(models, name))] as const),
  ["heads of 64", () => written(64)],
  ["heads of 20", () => written(20)],
]);

const openInt8 = (base: string): Promise<TestRunner> => openTestRunner(base, "cpu", 2, "int8");

/** The numbers of a layer's keys or values of a row, and the scale of each; 0 where the cache has no scales. */
async function kept({ runner, manifest }: TestRunner, ids: readonly number[], layer: number, part: "key" | "value") {
  const id = freshId();
  runner.kv.admit(id, ids.length);
  await runner.prefill({ id, past: 0, tokenIds: Int32Array.from(ids), adapter: null, logitPositions: [] });
  const { feeds } = await runner.kv.view(runner.kv.rowOf(id), 1, ids.length);
  const name = `past_key_values.${layer}.${part}`;
  const { data, dims } = feeds[name]!; // a port of every cache
  const [, numHeads, numPositions, headSize] = dims as [number, number, number, number];
  const scales = feeds[`${name}_scale`];
  const scaleValues = scales ? float16ToFloat32(scales.data as Uint16Array) : null;
  const numbers: { value: number; scale: number }[] = [];
  const block = scales ? headSize / scales.dims[3]! : headSize;
  for (let head = 0; head < numHeads; head++)
    for (let at = head * numPositions * headSize; at < (head * numPositions + ids.length) * headSize; at++) {
      const scale = scaleValues?.[Math.floor(at / block)] ?? 0;
      numbers.push({ value: Number(data[at]) * (scaleValues ? scale : 1), scale });
    }
  runner.kv.release(id);
  expect(manifest.config.numKvHeads).toBe(numHeads);
  return numbers;
}

async function start({ runner }: TestRunner, ids: readonly number[], adapter: AdapterRow | null, from = 0) {
  const row: DecodeRow<AdapterRow> = { id: freshId(), tokenId: 7, past: ids.length, adapter };
  runner.kv.admit(row.id, ids.length + 1, ids.length);
  return {
    row,
    finish: async (): Promise<void> => {
      for (let past = from; past < ids.length; past += 16)
        await runner.prefill({
          id: row.id,
          past,
          tokenIds: Int32Array.from(ids.slice(past, past + 16)),
          adapter,
          logitPositions: [],
        });
      runner.kv.startDecoding(row.id);
    },
  };
}

/** Logits of one step, by sequence. */
async function step(
  { runner }: TestRunner,
  rows: readonly DecodeRow<AdapterRow>[],
): Promise<Map<number, Float32Array>> {
  const inOrder = runner.kv.decodingIds().map((id) => rows.find((row) => row.id === id)!); // all are ours
  const logits = await (await runner.decode(inOrder)).all();
  return new Map(
    inOrder.map(({ id }, at) => [id, logits.slice(at * runner.vocabSize, (at + 1) * runner.vocabSize)] as const),
  );
}

describe.each([...checkpoints.keys()])("on %s", (name) => {
  const base = async (): Promise<string> => builtBase(await checkpoints.get(name)!()); // the key of this block
  const prompt = (test: TestRunner, length: number, seed = 3): number[] =>
    Array.from({ length: Math.min(length, test.manifest.config.maxPositions - 2) }, (_, i) => {
      return (seed + i * 31) % test.runner.vocabSize;
    });

  it("keeps numbers within half a scale of a float32 cache's, and changes the model little", async () => {
    await using exact = await openTestRunner(await base());
    await using rounded = await openInt8(await base());
    const ids = prompt(exact, 50);
    for (const part of ["key", "value"] as const) {
      const wanted = await kept(exact, ids, 0, part);
      const got = await kept(rounded, ids, 0, part);
      expect(got.length).toBe(wanted.length);
      const greatest = Math.max(...wanted.map(({ value }) => Math.abs(value)));
      const ratio = got.map(({ value, scale }, at) => Math.abs(value - wanted[at]!.value) / scale); // as many
      expect(Math.max(...ratio), part).toBeLessThanOrEqual(0.501); // the float32 numbers have errors of their own
      // float16 rounds a scale by up to 2^-11.
      expect(Math.max(...got.map(({ scale }) => scale)), part).toBeLessThanOrEqual((greatest / 127) * 1.001 + 2 ** -14);
    }
    const comparison = new Comparison();
    comparison.add(await rounded.score(ids), await exact.score(ids), exact.runner.vocabSize);
    // The weights of these models are random and large, which multiplies every difference. Up to 3e-3 was seen.
    expect(comparison.distance.kl).toBeLessThanOrEqual(1e-2);
  });

  it("gives a row the same bits alone, beside others and after a prefix from another row", async () => {
    await using test = await openInt8(await base());
    const { kv } = test.runner;
    const adapters = neighbours(test).slice(0, 4);
    const alone: Float32Array[] = [];
    const running: DecodeRow<AdapterRow>[] = [];
    for (const [i, adapter] of adapters.entries()) {
      const { row, finish } = await start(test, prompt(test, 20 + i, i), adapter);
      await finish();
      alone.push((await step(test, [row])).get(row.id)!); // the only row
      kv.release(row.id);
    }
    for (const [i, adapter] of adapters.entries()) {
      const ids = prompt(test, 20 + i, i);
      const first = await start(test, ids, adapter);
      await first.finish();
      // Takes the row's first chunk over, as the prefix cache does.
      const second = await start(test, ids, adapter, 16);
      kv.reach(second.row.id, 16);
      const chunk = await kv.copyOut(first.row.id, 0, 16);
      expect(chunk.bytes).toBe(16 * kv.bytesPerPosition);
      await kv.copyIn(second.row.id, 0, chunk);
      await second.finish();
      running.push(first.row, second.row);
      const logits = await step(test, running);
      running.forEach(({ id }, at) => {
        const wanted = alone[Math.floor(at / 2)]!; // two rows an adapter
        expect(
          logits.get(id)!.every((value, i) => Object.is(value, wanted[i])),
          `row ${at} of ${running.length}`,
        ).toBe(true);
      });
    }
  });
});

it.each([32, 64, 80, 96, 128, 256])("heads of %i need at most 0.27 of the bytes of a float32 cache", (headSize) => {
  const shape = { numLayers: 3, numKvHeads: 2, headSize };
  expect(bytesPerPosition(shape, "int8") / bytesPerPosition(shape)).toBeLessThanOrEqual(0.27);
  expect(cacheParts(0, shape, "int8").map(({ past }) => past.dtype)).toEqual(["int8", "float16", "int8", "float16"]);
});
