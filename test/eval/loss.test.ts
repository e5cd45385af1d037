/**
 * Losses through a real engine process against PyTorch's, for every training fixture that makes an adapter. Needs
 * dist/.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import type { Adapter } from "../../src/adapter/adapter.ts";
import { type Manifest, readManifest } from "../../src/base/manifest.ts";
import type { EncodedExample } from "../../src/data/encode.ts";
import type { createEngine as CreateEngine, SupervisedEngine } from "../../src/engine/server/supervisor.ts";
import { lossOf } from "../../src/eval/run-sequences.ts";
import { type AdapterStore, openAdapterStore } from "../../src/store/adapter-store.ts";
import { SHARED } from "../../src/store/tenant.ts";
import { fixtureAdapters } from "../helpers/models/adapters.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";

const training = fixturesDir("training");

interface Batch {
  readonly ids: readonly (readonly number[])[];
  readonly mask: readonly (readonly number[])[];
  readonly lengths: readonly number[];
}
const [batch] = readJson<{ batches: readonly Batch[] }>(training, "batches.json").batches;
const rows: EncodedExample[] = (batch?.lengths ?? []).map((length, i) => {
  const lossMask = Uint8Array.from(batch?.mask[i]?.slice(0, length) ?? []);
  const numLossTokens = lossMask.reduce((sum, bit) => sum + bit, 0);
  return {
    ids: Int32Array.from(batch?.ids[i]?.slice(0, length) ?? []),
    lossMask,
    numLossTokens,
    file: "batch",
    line: i,
  };
});

/** The fixture's adapter under the ids of the base built here. */
function forBase(adapter: Adapter, { baseId, targets }: Manifest): Adapter {
  const basisIds = new Map(targets.map(({ name, basisId }) => [name, basisId]));
  const named = adapter.targets.map((target) => {
    const basisId = basisIds.get(target.name);
    return target.basisId === undefined || basisId === undefined ? target : { ...target, basisId };
  });
  return { ...adapter, baseId, targets: named };
}

describe("the loss of a batch through the engine", async () => {
  const adapters = [...(await fixtureAdapters())];
  const dir = mkdtempSync(join(tmpdir(), "mosara-loss-"));
  let engine: SupervisedEngine;
  let store: AdapterStore;
  let manifest: Manifest;
  beforeAll(async () => {
    const module = new URL("../../dist/src/engine/server/supervisor.js", import.meta.url).href;
    const { createEngine } = (await import(module)) as { createEngine: typeof CreateEngine };
    store = await openAdapterStore(dir);
    const none = () => Promise.reject(new Error("nothing is merged here"));
    const baseDir = await builtBase(join(training, "base"), { targets: "all-linear" });
    manifest = await readManifest(baseDir);
    engine = createEngine({
      maxMerged: 0,
      prepareMerged: none,
      measureMerge: none,
      engine: {
        baseDir,
        storeDir: dir,
        device: "cpu",
        numThreads: 1,
        maxNumSeqs: 4,
        maxModelLen: null,
        kvCacheBytes: 2 ** 26,
        adapterCacheBytes: 2 ** 26,
        maxLiveRank: 1000,
        maxQueue: 1000,
        maxQueueTokens: 100_000,
        usesPrefixCache: true,
        maxDraft: 0,
        requiresBatchInvariance: true,
        takesAdapters: true,
      },
    });
    await engine.whenReady();
  }, 60_000);
  afterAll(async () => {
    await engine.stop(0);
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const meanLoss = async (generation: string | null): Promise<number> => {
    const adapter = generation === null ? null : { generation };
    const sums = await Promise.all(rows.map((row) => lossOf({ engine, adapter }, row)));
    const count = rows.reduce((sum, { numLossTokens }) => sum + numLossTokens, 0);
    return sums.reduce((a, b) => a + b, 0) / count;
  };

  it.each(adapters)("is PyTorch's with %s", async (slug, adapter) => {
    const golden = readJson<{ init: { loss: number }; point: { loss: number } }>(
      training,
      "methods",
      slug,
      "case.json",
    );
    const { record } = await store.namesOf(SHARED).put(slug, encodeAdapter(forBase(adapter, manifest)));
    expect(Math.abs((await meanLoss(record.generation)) - golden.point.loss)).toBeLessThan(1e-5);
    // At its first step every adapter is the base.
    expect(Math.abs((await meanLoss(null)) - golden.init.loss)).toBeLessThan(1e-5);
    expect(golden.point.loss).not.toBeCloseTo(golden.init.loss, 3);
  });
});
