/** Rows of the KV cache in host memory under random traffic, and what limits them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HostKvCache } from "../../../src/engine/kv/host-kv-cache.ts";
import { bytesPerPosition, positionBucket, rowBucket } from "../../../src/engine/kv/kv-cache.ts";
import { BatchRows } from "../../../src/engine/kv/batch-rows.ts";
import { type CacheUnderTest, POSITION, Traffic, assertTraffic } from "../../helpers/engine/kv-traffic.ts";
import { cachePorts } from "../../../src/model/ports.ts";
import { SHAPE } from "../../helpers/engine/kv-values.ts";

const onHost = (): CacheUnderTest => ({
  cache: new HostKvCache(SHAPE),
  read: async (tensor) => (tensor.data as Float32Array).slice(),
});
const hostTraffic = (maxBytes: number, rowMultiple: number): Traffic => new Traffic(onHost(), maxBytes, rowMultiple);

describe("random traffic", () => {
  it.each([1, 2])(
    "keeps every row's values and stays within its bytes, in batches of a multiple of %i",
    (rowMultiple) => assertTraffic(onHost, { rowMultiple, numRuns: 60 }),
  );
});

it("gives back rows and positions left over from other times before it grows", async () => {
  const traffic = hostTraffic(2048 * POSITION, 1);
  for (let i = 0; i < 16; i++) traffic.admit(100);
  for (let i = 0; i < 16; i++) await traffic.prefill(i, 90);
  for (let i = 0; i < 16; i++) traffic.startDecoding(0);
  await traffic.decode();
  expect(traffic.kv.bytes).toBe(16 * 128 * POSITION);
  for (const one of traffic.sequences.slice(1)) traffic.release(one);
  traffic.admit(1000);
  await traffic.prefill(0, 999);
  expect(traffic.kv.bytes).toBe(2 * 1024 * POSITION);
  await traffic.check();
  for (const one of traffic.sequences.slice(1)) traffic.release(one);
  for (let i = 0; i < 15; i++) traffic.admit(100);
  for (let i = 0; i < 15; i++) await traffic.prefill(i, 90);
  expect(traffic.sequences).toHaveLength(16);
  await traffic.check();
});

it("keeps a long prompt out of the batch until it decodes", async () => {
  const traffic = hostTraffic(2 ** 20 * POSITION, 2);
  const positions = async (): Promise<number> => {
    traffic.kv.allocate(0, 8, 66);
    const { feeds } = await traffic.kv.view(0, 8, 66);
    return feeds[cachePorts(0, SHAPE).pastKey.name]!.dims[2]!; // [rows, K, S, D]
  };
  for (let i = 0; i < 8; i++) traffic.admit(100);
  for (let i = 0; i < 8; i++) await traffic.prefill(i, 65);
  for (let i = 0; i < 8; i++) traffic.startDecoding(0);
  traffic.admit(4000);
  await traffic.prefill(0, 3900);
  expect(await positions()).toBe(128);
  await traffic.check();
  traffic.startDecoding(0);
  await traffic.decode();
  expect(await positions()).toBeGreaterThan(3900);
  await traffic.check();
});

it("joins all rows to one batch where the bytes allow nothing else", async () => {
  const traffic = hostTraffic(8 * 1024 * POSITION, 1); // eight rows, and a batch of five has room for eight
  for (let i = 0; i < 8; i++) traffic.admit(1024);
  for (let i = 0; i < 8; i++) {
    await traffic.prefill(0, 1000);
    if (i < 5) traffic.startDecoding(0);
    await traffic.decode();
    await traffic.check();
  }
  expect(traffic.kv.usage()).toBe(1);
});

it("keeps all values of rows that fill what is allocated to the last position and then grow", async () => {
  const traffic = hostTraffic(8192 * POSITION, 1);
  for (let i = 0; i < 3; i++) traffic.admit(1600);
  for (const length of [64, 65, 128, 129, 256, 257, 512, 513, 1024, 1025, 1536, 1537])
    for (const [i, one] of traffic.sequences.entries()) {
      if (length > one.length) await traffic.prefill(i, length - one.length);
      await traffic.check();
    }
  expect(traffic.sequences.map((one) => one.length)).toEqual([1537, 1537, 1537]);
});

it.each([1, 24, 64, 65, 100])("grows no more than one of %i layers in a decode step", (numLayers) => {
  const shape = { ...SHAPE, numLayers };
  const cache = new HostKvCache(shape);
  const kv = new BatchRows(cache, { maxBytes: 2 ** 30, rowMultiple: 1 });
  const perLayer = (cache.positionsFor(1) * bytesPerPosition(shape)) / numLayers;
  kv.admit(1, 1000, 10);
  kv.reach(1, 10);
  kv.startDecoding(1);
  for (let length = 11; length <= 1000; length++) {
    const before = cache.bytes;
    kv.reach(1, length);
    expect(cache.bytes - before, `at ${length}`).toBeLessThanOrEqual(perLayer);
  }
  expect(cache.bytes).toBe(cache.positionsFor(1000) * bytesPerPosition(shape));
});

describe("limits", () => {
  it("say exactly how long a sequence alone may be", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20_000 }), fc.constantFrom(1, 2), (positions, rowMultiple) => {
        const kv = new BatchRows(new HostKvCache(SHAPE), { maxBytes: positions * POSITION + 3, rowMultiple });
        const longest = kv.maxLength();
        if (longest > 0) expect(kv.canEverFit(longest)).toBe(true);
        expect(kv.canEverFit(longest + 1)).toBe(false);
      }),
    );
  });

  it("count a bucket as what holds any length in it", () => {
    const host = new HostKvCache(SHAPE);
    for (const bucket of [positionBucket, (length: number) => host.positionsFor(length)])
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 200_000 }), (length) => {
          expect(bucket(length)).toBeGreaterThanOrEqual(length);
          expect(bucket(bucket(length))).toBe(bucket(length));
          expect(bucket(length + 1)).toBeGreaterThanOrEqual(bucket(length));
        }),
      );
    expect([0, 1, 2, 3, 5, 9, 17].map(rowBucket)).toEqual([0, 1, 2, 4, 8, 16, 32]);
  });

  it("refuse what nobody reserved, and rows that are not there, as mistakes of ours", () => {
    const kv = new BatchRows(new HostKvCache(SHAPE), { maxBytes: 1000 * POSITION, rowMultiple: 1 });
    kv.admit(7, 10);
    expect(() => kv.extend(0, 11)).toThrow(/internal: row 0 cannot take 11/);
    expect(() => kv.extend(1, 1)).toThrow(/internal: row 1/);
    expect(() => kv.release(8)).toThrow(/internal: sequence 8 has no row/);
    kv.startDecoding(7);
    expect(() => kv.startDecoding(7)).toThrow(/decoding already/);
  });
});
