/** Merging n > 1 heads by their mean gate, against PyTorch's on every routed training fixture. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { type Base, openBase } from "../../../src/base/base.ts";
import { mergeByMeanGate } from "../../../src/base/merge/mean-gate.ts";
import { mergedWeights } from "../../../src/base/merge/merged-weights.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { fixtureAdapters } from "../../helpers/models/adapters.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { fixturesDir, readJson } from "../../helpers/fixtures.ts";

const training = fixturesDir("training");
const all = [...(await fixtureAdapters())];
const goldenOf = (slug: string): string => join(training, "methods", slug, "merged.safetensors");
const routed = all.filter(([slug, { heads }]) => heads > 1 && existsSync(goldenOf(slug)));

interface Batches {
  readonly batches: readonly { readonly ids: number[][]; readonly lengths: number[] }[];
}
interface Case {
  readonly merge: {
    readonly batch_0: {
      readonly live_minus_merged_float64_max_abs: number;
      readonly live_minus_merged_float64_mean_abs: number;
    };
  };
}

function fitted(adapter: Adapter, base: Base): Adapter {
  const basisIds = new Map(base.manifest.targets.map(({ name, basisId }) => [name, basisId]));
  // All of the base's.
  const targets = adapter.targets.map((target) => ({ ...target, basisId: basisIds.get(target.name)! }));
  return { ...adapter, baseId: base.manifest.baseId, targets };
}

it("finds routed fixtures", () => expect(routed.length).toBeGreaterThan(0));

describe.each(routed)("%s", (slug, made) => {
  it("gives PyTorch's mean gates, merged weights and error", async () => {
    await using base = await openBase(await builtBase(join(training, "base"), { targets: "all-linear" }));
    const [batch] = readJson<Batches>(training, "batches.json").batches;
    // Batch 0.
    const sequences = batch!.lengths.map((length, row) => Int32Array.from(batch!.ids[row]!.slice(0, length)));
    const result = await mergeByMeanGate(base, fitted(made, base), sequences, 2);
    await using golden = await openSafetensors(goldenOf(slug));
    for (const [name, gate] of result.meanGates)
      expectAllclose(gate, (await golden.read(`${name}.mean_gate`)).data as Float32Array, { atol: 1e-5 }, name);
    await using merged = await mergedWeights(base, result.adapter, 2);
    for (const name of merged.changed) {
      const expected = (await golden.read(name)).data as Float32Array;
      expectAllclose((await merged.read(name)).data as Float32Array, expected, { atol: 1e-5 }, name);
    }
    // The golden figures count padded positions too, which no sequence here has: a part of them cannot differ by more.
    const { live_minus_merged_float64_max_abs: largest, live_minus_merged_float64_mean_abs: mean } = readJson<Case>(
      training,
      "methods",
      slug,
      "case.json",
    ).merge.batch_0;
    expect(result.maxAbsLogitDifference).toBeLessThan(largest + 1e-4);
    expect(result.maxAbsLogitDifference).toBeGreaterThan(mean);
    const isPadded = batch!.ids.some((ids, row) => ids.length > batch!.lengths[row]!); // as many
    if (!isPadded) expect(Math.abs(result.maxAbsLogitDifference - largest)).toBeLessThan(1e-4);
  });
});

describe("an adapter with one head", () => {
  it("needs no mean gate", async () => {
    await using base = await openBase(await builtBase(join(training, "base"), { targets: "all-linear" }));
    // The fixtures have one.
    const [, adapter] = all.find(([, { heads, method }]) => heads === 1 && method === "mo-sara")!;
    const merge = mergeByMeanGate(base, fitted(adapter, base), [Int32Array.of(3)], 2);
    await expect(merge).rejects.toMatchObject({ code: "usage" });
  });
});
