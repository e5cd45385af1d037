/**
 * Every family takes every kind of adapter: live, mixed in one batch, and merged; on any linear layer, fused ones
 * included.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { openBase } from "../../../src/base/base.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { mergeCheckpoint } from "../../../src/base/merge/merge-checkpoint.ts";
import { writeMergedBase } from "../../../src/base/merge/merged-base.ts";
import { maxAbs, maxAbsDifference } from "../../helpers/allclose.ts";
import { ADAPTER_KINDS, adapterFor } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { casesIn, fixturesDir } from "../../helpers/fixtures.ts";
import { openTestRunner, startRows, type TestRunner } from "../../helpers/engine/runner.ts";

const models = fixturesDir("models");
const scratch = mkdtempSync(join(tmpdir(), "mosara-families-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const PROMPT = [5, 17, 33, 2, 60, 44, 91, 12, 7, 150];

function adaptersOf(test: TestRunner): Adapter[] {
  return ADAPTER_KINDS.map((kind) => adapterFor(test.manifest, kind));
}

/** Logits after one decode step of each adapter, all in one batch with a base row. */
async function mixedStep(test: TestRunner, adapters: readonly (Adapter | null)[]): Promise<Float32Array[]> {
  const { runner } = test;
  const ready = adapters.map((adapter, i) => adapter && test.ready(adapter, `generation-${i}`));
  const rows = (await startRows(test, PROMPT, ready)).map((row, i) => ({ ...row, tokenId: PROMPT[i] ?? 3 }));
  const logits = await (await runner.decode(rows)).all();
  const V = runner.vocabSize;
  const steps = rows.map((_, row) => logits.slice(row * V, (row + 1) * V));
  for (const { id } of rows) runner.kv.release(id);
  return steps;
}

describe.each(casesIn(models, "expected.json"))("%s", (name) => {
  const base = (): Promise<string> => builtBase(join(models, name), { targets: "all-linear" });

  it.each(["float32", "int8"] as const)("gives every adapter the same bits alone and mixed, in %s", async (weights) => {
    const dir = await builtBase(join(models, name), { targets: "all-linear", weights, basisFrom: await base() });
    await using test = await openTestRunner(dir);
    const adapters = [...adaptersOf(test), null];
    const mixed = await mixedStep(test, adapters);
    const ofBase = await mixedStep(
      test,
      adapters.map(() => null),
    );
    for (const [i, adapter] of adapters.entries()) {
      const alone = await mixedStep(test, [...Array.from({ length: i }, () => null), adapter]);
      expect(alone[i]).toEqual(mixed[i]);
      // Every adapter changes what the base says, so that the comparison means something.
      if (adapter) expect(alone[i]).not.toEqual(ofBase[i]);
    }
  });

  it("answers alike live, merged, and from the merged checkpoint", async () => {
    await using opened = await openBase(await base());
    await using live = await openTestRunner(await base());
    for (const adapter of adaptersOf(live).filter((one) => one.heads === 1)) {
      const expected = await live.score(PROMPT, { adapter: live.ready(adapter) });
      const bound = 1e-4 * maxAbs(expected);
      const dir = join(scratch, `${name}-${adapter.method}`);
      await writeMergedBase(opened, adapter, "0".repeat(64), dir, 2);
      await using merged = await openTestRunner(dir);
      expect(maxAbsDifference(await merged.score(PROMPT), expected), `${adapter.method} merged`).toBeLessThanOrEqual(
        bound,
      );
      const checkpoint = join(scratch, `${name}-${adapter.method}-checkpoint`);
      await mergeCheckpoint(opened, adapter, checkpoint, { dtype: "float32", numThreads: 2 });
      await using again = await openTestRunner(await builtBase(checkpoint, { targets: "none" }));
      expect(maxAbsDifference(await again.score(PROMPT), expected), `${adapter.method} checkpoint`).toBeLessThanOrEqual(
        bound,
      );
    }
  });

  it("keeps its own names and layouts in a merged checkpoint", async () => {
    await using opened = await openBase(await base());
    await using test = await openTestRunner(await base());
    const [adapter] = adaptersOf(test) as [Adapter];
    const out = join(scratch, `${name}-names`);
    await mergeCheckpoint(opened, adapter, out, { dtype: null, numThreads: 2 });
    await using merged = await openCheckpoint(out);
    await using original = await openCheckpoint(join(models, name));
    expect(merged.tensors).toEqual(original.tensors);
    expect(merged.config).toEqual(original.config);
  });
});
