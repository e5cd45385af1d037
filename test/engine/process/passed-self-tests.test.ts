/** A passed self-test is noted in a directory, and counts for the same program, machine, base and settings alone. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type Base, openBase } from "../../../src/base/base.ts";
import { firstPassing } from "../../../src/engine/process/passed-self-tests.ts";
import type { DeviceFacts, EngineOptions } from "../../../src/engine/protocol.ts";
import { tempDir } from "../../helpers/server.ts";

const DEMO = join(import.meta.dirname, "../../../models/demo");
const CPU: DeviceFacts = { name: "cpu", attention: "fused", precision: "float32", isCacheResident: true };
const OPTIONS: EngineOptions = {
  baseDir: DEMO,
  storeDir: "",
  device: "cpu",
  numThreads: 2,
  maxNumSeqs: 16,
  maxModelLen: null,
  kvCacheBytes: 2 ** 24,
  adapterCacheBytes: 2 ** 20,
  maxLiveRank: 64,
  maxQueue: 10,
  maxQueueTokens: 1000,
  usesPrefixCache: true,
  maxDraft: 0,
  requiresBatchInvariance: true,
  takesAdapters: true,
};
type Tested = Parameters<typeof firstPassing>[0];

let dir: string;
let tested: Tested;
let numRuns: number;

beforeEach(async () => {
  dir = join(tempDir(), "self-tests");
  await using base: Base = await openBase(DEMO);
  const selfTests = { dir, environment: "mosara 1 on a CPU" };
  tested = { manifest: base.manifest, device: CPU, options: { ...OPTIONS, selfTests } };
  numRuns = 0;
});

/** @returns the result, and whether the test ran */
async function ask(of: Tested, passes = true): Promise<readonly [boolean, boolean]> {
  const before = numRuns;
  const result = await firstPassing(of, [1], async () => {
    numRuns++;
    return passes;
  });
  return [result === 1, numRuns > before];
}

describe("a self-test", () => {
  it("that passed is not run again", async () => {
    expect(await ask(tested)).toEqual([true, true]);
    expect(await ask(tested)).toEqual([true, false]);
    expect(readdirSync(dir)).toHaveLength(1);
  });

  it("that failed is run again", async () => {
    expect(await ask(tested, false)).toEqual([false, true]);
    expect(await ask(tested, false)).toEqual([false, true]);
    expect(existsSync(dir)).toBe(false);
  });

  it("that fails for single rows and passes for pairs is not run again for either", async () => {
    const tried: number[] = [];
    const choose = () =>
      firstPassing(tested, [1, 2], async (rowMultiple) => {
        tried.push(rowMultiple);
        return rowMultiple === 2;
      });
    expect([await choose(), await choose()]).toEqual([2, 2]);
    expect(tried).toEqual([1, 2]);
  });

  const others: Readonly<Record<string, (of: Tested) => Tested>> = {
    "another program or machine": (of) => withOptions(of, { selfTests: { dir, environment: "mosara 2 on a CPU" } }),
    "another base": (of) => ({ ...of, manifest: { ...of.manifest, weights: "int8" } }),
    "another attention kernel": (of) => ({ ...of, device: { ...CPU, attention: "stepwise" } }),
    "larger batches": (of) => withOptions(of, { maxNumSeqs: 17 }),
    "another type of cache": (of) => withOptions(of, { kvCacheDtype: "int8" }),
    "merged weights": (of) => withOptions(of, { takesAdapters: false }),
  };
  it.each(Object.entries(others))("is run for %s", async (_, other) => {
    await ask(tested);
    expect(await ask(other(tested))).toEqual([true, true]);
    expect(await ask(tested)).toEqual([true, false]);
  });

  it.each([
    ["on a GPU", (of: Tested) => ({ ...of, device: { ...CPU, name: "cuda" as const } })],
    ["without a directory", (of: Tested) => withOptions(of, { selfTests: null })],
  ])("%s is run at every start", async (_, other) => {
    await ask(other(tested));
    expect(await ask(other(tested))).toEqual([true, true]);
  });

  it("passes where it cannot be noted, and is run again", async () => {
    writeFileSync(dir, "a file where the directory would be");
    expect(await ask(tested)).toEqual([true, true]);
    expect(await ask(tested)).toEqual([true, true]);
  });
});

function withOptions(of: Tested, options: Partial<EngineOptions>): Tested {
  return { ...of, options: { ...of.options, ...options } };
}
