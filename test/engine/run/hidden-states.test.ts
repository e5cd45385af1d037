/**
 * Hidden states of the serving graph against transformers' on every model fixture, pooled as an embedding is. And the
 * laws: chunks do not change a vector beyond rounding, neighbours do not change it at all, and a step without hidden
 * rows has the logits that it had before.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adapterFromPeft } from "../../../src/adapter/peft.ts";
import { openBase } from "../../../src/base/base.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { type Chunk, chunkAt } from "../../../src/engine/chunks.ts";
import { Pool, pooledPositions } from "../../../src/engine/pooling.ts";
import type { Pooling } from "../../../src/engine/protocol.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { peftNames } from "../../../src/model/peft-names.ts";
import { readPeftFiles } from "../../../src/store/directory/directory-files.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { adapterFor } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { EMBEDDINGS_GOLDEN, fixturesDir } from "../../helpers/fixtures.ts";
import { freshId, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";

const models = fixturesDir("models");
const cases = readdirSync(EMBEDDINGS_GOLDEN)
  .filter((file) => file.endsWith(".safetensors"))
  .map((file) => file.replace(".safetensors", ""))
  .filter((name) => existsSync(join(models, name.split(".")[0]!, "config.json")));

/** The pooled vector of a prompt, prefilled in the engine's chunks, or in those given. */
async function pooled(
  { runner }: TestRunner,
  ids: readonly number[],
  pooling: Pooling,
  { adapter = null, chunks }: { adapter?: AdapterRow | null; chunks?: readonly Chunk[] } = {},
): Promise<Float32Array> {
  const id = freshId();
  const pool = new Pool();
  runner.kv.admit(id, ids.length);
  const own: Chunk[] = [];
  for (let past = 0; past < ids.length; past += own.at(-1)!.length) own.push(chunkAt(ids.length, past));
  for (const chunk of chunks ?? own) {
    const hiddenPositions = pooledPositions(pooling, chunk);
    const tokenIds = Int32Array.from(ids.slice(chunk.past, chunk.past + chunk.length));
    pool.add(
      await runner.prefillHidden({ id, past: chunk.past, tokenIds, adapter, hiddenPositions }),
      hiddenPositions.length,
    );
  }
  runner.kv.release(id);
  return pool.mean();
}

async function peftRow(test: TestRunner, baseDir: string, dir: string): Promise<AdapterRow> {
  await using base = await openBase(baseDir);
  const files = await readPeftFiles(dir, dir, 2 ** 26);
  return test.ready(adapterFromPeft(files, base.signature, peftNames(base.manifest.config)));
}

describe.each(cases)("%s", (name) => {
  const [model = "", adapterName] = name.split(".");

  it("gives transformers' hidden states, as a mean and of the last token", async () => {
    const baseDir = await builtBase(join(models, model));
    await using test = await openTestRunner(baseDir);
    await using expected = await openSafetensors(join(EMBEDDINGS_GOLDEN, `${name}.safetensors`));
    const adapter = adapterName ? await peftRow(test, baseDir, join(models, model, "adapters", adapterName)) : null;
    for (const prefix of ["", "long_"]) {
      const ids = await expected.read(`${prefix}input_ids`);
      const [numRows, length] = ids.shape as [number, number];
      for (const pooling of ["mean", "last"] as const) {
        const { data, shape } = await expected.read(`${prefix}${pooling}`);
        const size = shape[1]!;
        for (let row = 0; row < numRows; row++) {
          const prompt = Array.from(ids.data.slice(row * length, (row + 1) * length), Number);
          const got = await pooled(test, prompt, pooling, { adapter });
          const wanted = (data as Float32Array).subarray(row * size, (row + 1) * size);
          expectAllclose(got, wanted, { rtolOfMax: 1e-5 }, `${prefix}${pooling} ${row}`);
        }
      }
    }
  });
});

const IDS = Array.from({ length: 80 }, (_, i) => (3 + i * 31) % 300);

describe.each(["float32", "int8", "int4"] as const)("in %s", (weights) => {
  const open = async (): Promise<TestRunner> => {
    const first = await builtBase(join(models, "llama"));
    return openTestRunner(
      weights === "float32" ? first : await builtBase(join(models, "llama"), { weights, basisFrom: first }),
    );
  };

  it("a vector has the same bits whatever rows decode beside it, and after other adapters", async () => {
    await using test = await open();
    const { runner, manifest } = test;
    const adapter = test.ready(adapterFor(manifest, { seed: 1 }), "own");
    const alone = await pooled(test, IDS, "mean", { adapter });
    const others = [null, test.ready(adapterFor(manifest, { heads: 3, seed: 2 })), adapter];
    const rows = others.map((other, i) => ({ id: freshId(), tokenId: 5, past: 3 + i, adapter: other }));
    for (const { id, past, adapter: other } of rows) {
      runner.kv.admit(id, past + 4);
      await runner.prefill({ id, past: 0, tokenIds: new Int32Array(past).fill(7), adapter: other, logitPositions: [] });
      runner.kv.startDecoding(id);
    }
    await runner.decode(rows);
    expect(await pooled(test, IDS, "mean", { adapter })).toEqual(alone);
    expect(await pooled(test, IDS, "mean", { adapter: others[1]! })).not.toEqual(alone);
  });
});

it("does not depend on where a prompt is cut, in float32", async () => {
  await using test = await openTestRunner(await builtBase(join(models, "llama")));
  const at = (...bounds: number[]): Chunk[] =>
    bounds.slice(1).map((end, i) => ({ past: bounds[i]!, length: end - bounds[i]!, isLast: end === IDS.length }));
  for (const pooling of ["mean", "last"] as const) {
    const whole = await pooled(test, IDS, pooling, { chunks: at(0, 80) });
    for (const chunks of [at(0, 64, 80), at(0, 1, 2, 79, 80), at(0, 40, 80)])
      expectAllclose(await pooled(test, IDS, pooling, { chunks }), whole, { rtolOfMax: 1e-5 });
  }
});
