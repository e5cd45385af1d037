/**
 * The self-test against runners that break the law of isolation in the ways that were measured, and one that keeps it.
 */
import { describe, expect, it } from "vitest";
import { HostKvCache } from "../../../src/engine/kv/host-kv-cache.ts";
import { BatchRows } from "../../../src/engine/kv/batch-rows.ts";
import type { LogitRows } from "../../../src/engine/sampling/logit-rows.ts";
import type { ModelRunner, ReadyAdapter } from "../../../src/engine/contracts.ts";
import { isBatchInvariant } from "../../../src/engine/process/self-test.ts";

const V = 64;
const ADAPTER: ReadyAdapter = { generation: "probe" };

const keep = (value: number): number => value;

/**
 * A runner whose logits are a function of a row's own tokens and adapter, but for what `disturb` does to them. Its
 * cache has the hash of a row's prompt.
 */
function runnerWith(
  disturb: (value: number, row: number, numRows: number, sum: number) => number,
  {
    maxBytes = 2 ** 20,
    prefillOf = keep,
  }: { maxBytes?: number; prefillOf?: (hash: number, row: number) => number } = {},
) {
  const kv = new BatchRows(new HostKvCache({ numLayers: 1, numKvHeads: 1, headSize: 8 }), { maxBytes, rowMultiple: 1 });
  const firstOf = (id: number) => kv.copyOut(id, 0, 1) as ReturnType<HostKvCache["copyOut"]>; // of a cache on the host
  const promptOf = (id: number): number => firstOf(id).data[0] ?? 0;
  const sizes: number[] = [];
  const runner: ModelRunner & { readonly kv: BatchRows } = {
    maxModelLen: 64,
    vocabSize: V,
    kv,
    adapters: null,
    prefixes: null,
    prefill: async ({ id, tokenIds }) => {
      kv.reach(id, tokenIds.length);
      const written = firstOf(id);
      const hash = tokenIds.reduce((sum, token) => (sum * 31 + token) % 251, 7);
      written.data[0] = prefillOf(hash, kv.rowOf(id));
      await kv.copyIn(id, 0, written);
      return logitRows(new Float32Array(0));
    },
    prefillHidden: () => Promise.reject(new Error("nothing is pooled here")),
    decode: async (rows) => {
      expect(rows.map((row) => row.id)).toEqual(kv.decodingIds());
      sizes.push(rows.length);
      const sum = rows.reduce((total, row) => total + promptOf(row.id), 0);
      const value = (row: number, token: number): number => {
        const { id, tokenId, adapter } = rows[row]!; // asked for below, a row at a time
        return disturb(Math.sin(promptOf(id) + tokenId * token + (adapter ? 1 : 0)), row, rows.length, sum);
      };
      return logitRows(Float32Array.from({ length: rows.length * V }, (_, i) => value(Math.floor(i / V), i % V)));
    },
    close: async () => {},
  };
  return { runner, kv, sizes };
}

/** Rows that are only looked at whole. */
function logitRows(logits: Float32Array): LogitRows {
  return {
    numRows: logits.length / V,
    read: () => Promise.reject(new Error("not asked for")),
    all: async () => logits,
  };
}

describe("the self-test", () => {
  it("finds the law kept, with sizes up to the engine's own, and leaves no row in use", async () => {
    const { runner, kv, sizes } = runnerWith(keep);
    expect(await isBatchInvariant(runner, 16, ADAPTER)).toBe(true);
    expect([...new Set(sizes)]).toEqual([1, 2, 3, 5, 8, 16]);
    expect([kv.decodingIds(), kv.usage()]).toEqual([[], 0]);
  });

  it("does not grow with an engine of thousands of rows, nor beyond the cache's bytes", async () => {
    const large = runnerWith(keep);
    await isBatchInvariant(large.runner, 4096);
    expect(large.sizes.at(-1)).toBe(17);
    const small = runnerWith(keep, { maxBytes: 4 * 64 * 64 });
    expect(await isBatchInvariant(small.runner, 16)).toBe(true);
    expect([...new Set(small.sizes)]).toEqual([1, 2, 3]);
  });

  it.each<[string, Parameters<typeof runnerWith>[0]]>([
    ["one row alone takes another kernel", (value, _, numRows) => (numRows === 1 ? value + 1e-6 : value)],
    [
      "that kernel differs in one number of a hundred",
      (value, _, n) => (n === 1 && Math.abs(value) > 0.9999 ? value + 1e-6 : value),
    ],
    [
      "the last of an odd number of rows does",
      (value, row, n) => (n > 1 && n % 2 === 1 && row === n - 1 ? value + 1e-6 : value),
    ],
    ["one scale is shared by the batch", (value, _, __, sum) => value * (1 + sum * 1e-6)],
    ["batches of 16 rows and more do", (value, _, numRows) => (numRows >= 16 ? value + 1e-6 : value)],
  ])("finds it broken when %s", async (_, disturb) => {
    const { runner, kv } = runnerWith(disturb);
    expect(await isBatchInvariant(runner, 17, ADAPTER)).toBe(false);
    expect(kv.decodingIds()).toEqual([]);
  });

  it("finds it broken when a prefill depends on the place of its row", async () => {
    const { runner } = runnerWith(keep, { prefillOf: (hash, row) => (row > 8 ? hash + 1 : hash) });
    expect(await isBatchInvariant(runner, 17, ADAPTER)).toBe(false);
  });
});
