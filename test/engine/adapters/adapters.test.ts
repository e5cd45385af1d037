/** Rows of the serving graph against PyTorch, for every method, on every training fixture that makes an adapter. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { fixtureAdapters } from "../../helpers/models/adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { fixturesDir, readJson } from "../../helpers/fixtures.ts";
import { openTestRunner } from "../../helpers/engine/runner.ts";

const training = fixturesDir("training");

interface Batches {
  readonly batches: readonly { readonly ids: number[][]; readonly lengths: number[] }[];
}

/** The fixture's adapter at another point: the same tensors out of another file. */
async function atPoint(adapter: Adapter, file: string): Promise<Adapter> {
  await using point = await openSafetensors(file);
  const targets = await Promise.all(
    adapter.targets.map(async (target) => {
      const names = Object.keys(target.tensors);
      const read = names.map(async (name) => [name, await point.read(`${target.name}.${name}`)] as const);
      return { ...target, tensors: Object.fromEntries(await Promise.all(read)) };
    }),
  );
  return { ...adapter, targets };
}

const adapters = [...(await fixtureAdapters())];

describe.each(adapters)("%s", (slug, adapter) => {
  it.each(["init", "point"])("gives PyTorch's logits at its %s", async (point) => {
    const file = join(training, "methods", slug, `${point}.safetensors`);
    await using test = await openTestRunner(await builtBase(join(training, "base"), { targets: "all-linear" }));
    await using golden = await openSafetensors(file);
    const row = test.ready(await atPoint(adapter, file));
    const expected = await golden.read("logits");
    const [, length, vocabSize] = expected.shape as [number, number, number];
    const batch = readJson<Batches>(training, "batches.json").batches[0]!; // "batch 0", says the fixtures' README
    for (const [b, numTokens] of batch.lengths.entries()) {
      const got = await test.score(batch.ids[b]!.slice(0, numTokens), { adapter: row }); // as many ids as lengths
      const start = b * length * vocabSize;
      const wanted = (expected.data as Float32Array).subarray(start, start + numTokens * vocabSize);
      expectAllclose(got, wanted, { atol: 1e-4 }, `row ${b}`);
    }
  });
});

describe("a base row", () => {
  it("differs from every adapter's row, so that the comparisons above can fail", async () => {
    await using test = await openTestRunner(await builtBase(join(training, "base"), { targets: "all-linear" }));
    const ids = [5, 17, 33, 2, 60];
    const base = await test.score(ids);
    for (const [, adapter] of adapters)
      expect(await test.score(ids, { adapter: test.ready(adapter) })).not.toEqual(base);
  });
});
