/** Rows of the KV cache under random traffic: what a sequence wrote stays its own, and memory stays within what was allowed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesPerPosition, positionBucket, rowBucket } from "../../src/engine/kv-cache.ts";
import { HostKvCache } from "../../src/engine/host-kv-cache.ts";
import { BatchSlots } from "../../src/engine/kv-slots.ts";
import { cachePorts } from "../../src/model/ports.ts";
import { numElements } from "../../src/tensor/host-tensor.ts";

const SHAPE = { numLayers: 2, numKvHeads: 2, headSize: 4 };
const POSITION = bytesPerPosition(SHAPE);

interface Sequence {
  readonly id: number;
  readonly reserved: number;
  length: number;
  isDecoding: boolean;
}

/** Visits the cache's values of one row at one position, with what tells them apart. */
function visit(
  kv: BatchSlots,
  row: number,
  position: number,
  each: (data: Float32Array, at: number, mark: number) => void,
) {
  const { feeds } = (kv.cache as HostKvCache).view(row, 1);
  for (let layer = 0; layer < SHAPE.numLayers; layer++) {
    const { pastKey, pastValue } = cachePorts(layer, SHAPE);
    [pastKey, pastValue].forEach(({ name }, part) => {
      const { data, dims } = feeds[name]!; // a port of this cache
      const [, numHeads, numPositions, headSize] = dims as [number, number, number, number];
      expect(data.length).toBe(numElements(dims));
      for (let head = 0; head < numHeads; head++)
        for (let d = 0; d < headSize; d++)
          each(
            data as Float32Array,
            (head * numPositions + position) * headSize + d,
            ((layer * 2 + part) * numHeads + head) * headSize + d,
          );
    });
  }
}

const stamp = (id: number, position: number, mark: number): number => id * 100_000 + position * 100 + mark;

/** Positions worth a look: some everywhere, and those at the ends of what was allocated. */
function samples(length: number): number[] {
  const all = [0, 1, 5, 63, 64, 127, 128, 255, 256, 511, 512, 700, 1023, 1024, 1400, length - 2, length - 1];
  return [...new Set(all)].filter((position) => position >= 0 && position < length);
}

/** The engine's traffic without a model: every position that is written gets a stamp of its sequence. */
class Traffic {
  readonly kv: BatchSlots;
  readonly maxBytes: number;
  readonly sequences: Sequence[] = [];
  #nextId = 1;

  constructor(maxBytes: number, rowMultiple: number) {
    this.maxBytes = maxBytes;
    this.kv = new BatchSlots(new HostKvCache(SHAPE), { maxBytes, rowMultiple });
  }

  admit(reserved: number): void {
    const id = this.#nextId++;
    if (!this.kv.canAdmit(reserved)) {
      expect(() => this.kv.admit(id, reserved)).toThrow(expect.objectContaining({ code: "insufficient_memory" }));
      return;
    }
    expect(this.kv.canEverFit(reserved)).toBe(true);
    this.kv.admit(id, reserved);
    this.sequences.push({ id, reserved, length: 0, isDecoding: false });
  }

  prefill(pick: number, count: number): void {
    const waiting = this.sequences.filter((one) => !one.isDecoding && one.length + 1 < one.reserved);
    const one = waiting[pick % Math.max(1, waiting.length)];
    if (!one) return;
    // The last position is for an answer: a prompt that leaves none is released with its last chunk.
    const length = Math.min(one.length + count, one.reserved - 1);
    const row = this.kv.rowOf(one.id);
    this.kv.extend(row, length);
    this.kv.allocate(0, length);
    for (; one.length < length; one.length++) this.#write(one, row);
  }

  startDecoding(pick: number): void {
    const ready = this.sequences.filter((one) => !one.isDecoding && one.length > 0);
    const one = ready[pick % Math.max(1, ready.length)];
    if (!one) return;
    this.kv.startDecoding(one.id);
    one.isDecoding = true;
  }

  /** One step as the model runner makes it, its padding row's write included. */
  decode(): void {
    for (const one of this.sequences.slice()) if (one.isDecoding && one.length === one.reserved) this.release(one);
    const ids = this.kv.decodingIds();
    if (ids.length === 0) return;
    const numRows = this.kv.paddedRows(ids.length);
    const lengths = Array.from({ length: numRows }, (_, row) => this.kv.lengthOf(row));
    ids.forEach((_, row) => this.kv.extend(row, lengths[row]! + 1)); // as many
    this.kv.allocate(numRows, Math.max(...lengths) + 1);
    for (let row = ids.length; row < numRows; row++) visit(this.kv, row, lengths[row]!, (data, at) => (data[at] = -1)); // as many
    ids.forEach((id, row) => {
      const one = this.sequences.find((sequence) => sequence.id === id)!; // admitted here
      this.#write(one, row);
      one.length++;
    });
  }

  release(one: Sequence): void {
    this.kv.release(one.id);
    this.sequences.splice(this.sequences.indexOf(one), 1);
  }

  #write(one: Sequence, row: number): void {
    visit(this.kv, row, one.length, (data, at, mark) => (data[at] = stamp(one.id, one.length, mark)));
  }

  check(): void {
    expect(this.kv.cache.bytes).toBeLessThanOrEqual(this.maxBytes);
    expect(this.kv.usage()).toBeLessThanOrEqual(1);
    const decoding = this.sequences.filter((one) => one.isDecoding);
    expect(new Set(this.kv.decodingIds())).toEqual(new Set(decoding.map((one) => one.id)));
    for (const one of this.sequences) {
      const row = this.kv.rowOf(one.id);
      expect(row < decoding.length).toBe(one.isDecoding);
      expect(this.kv.lengthOf(row)).toBe(one.length);
      let numWrong = 0;
      for (const position of samples(one.length))
        visit(this.kv, row, position, (data, at, mark) => {
          if (data[at] !== Math.fround(stamp(one.id, position, mark))) numWrong++;
        });
      expect(numWrong, `values of sequence ${one.id} that are not its own`).toBe(0);
    }
    if (this.sequences.length === 0) expect(this.kv.cache.bytes).toBe(0);
  }
}

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("admit" as const), count: fc.integer({ min: 1, max: 1500 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("admit" as const), count: fc.integer({ min: 1, max: 140 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("prefill" as const),
      pick: fc.nat(20),
      count: fc.constantFrom(1, 7, 64, 300),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("start" as const), pick: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("decode" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), pick: fc.nat(20) }) },
);

describe("random traffic", () => {
  it.each([1, 2])("keeps every row's values and stays within its bytes, in batches of a multiple of %i", (multiple) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 6000 }),
        fc.array(operation, { minLength: 5, maxLength: 40 }),
        (positions, operations) => {
          const traffic = new Traffic(positions * POSITION, multiple);
          for (const one of operations) {
            if (one.do === "admit") traffic.admit(one.count);
            else if (one.do === "prefill") traffic.prefill(one.pick, one.count);
            else if (one.do === "start") traffic.startDecoding(one.pick);
            else if (one.do === "decode") traffic.decode();
            else {
              const victim = traffic.sequences[one.pick % Math.max(1, traffic.sequences.length)];
              if (victim) traffic.release(victim);
            }
            traffic.check();
          }
          for (const one of traffic.sequences.slice()) traffic.release(one);
          traffic.check();
        },
      ),
      { numRuns: 60 },
    );
  });
});

it("gives back rows and positions left over from other times before it grows", () => {
  const traffic = new Traffic(2048 * POSITION, 1);
  for (let i = 0; i < 16; i++) traffic.admit(100);
  for (let i = 0; i < 16; i++) traffic.prefill(i, 90);
  expect(traffic.kv.cache.bytes).toBe(16 * 128 * POSITION);
  for (const one of traffic.sequences.slice(1)) traffic.release(one);
  traffic.admit(1000);
  traffic.prefill(1, 999);
  expect(traffic.kv.cache.bytes).toBe(2 * 1024 * POSITION);
  traffic.check();
  for (const one of traffic.sequences.slice(1)) traffic.release(one);
  for (let i = 0; i < 15; i++) traffic.admit(100);
  for (let i = 0; i < 15; i++) traffic.prefill(i, 90);
  expect(traffic.sequences).toHaveLength(16);
  traffic.check();
});

it("keeps all values of rows that fill what is allocated to the last position and then grow", () => {
  const traffic = new Traffic(8192 * POSITION, 1);
  for (let i = 0; i < 3; i++) traffic.admit(1600);
  for (const length of [128, 129, 256, 257, 512, 513, 1024, 1025, 1536, 1537])
    for (const [i, one] of traffic.sequences.entries()) {
      if (length > one.length) traffic.prefill(i, length - one.length);
      traffic.check();
    }
  expect(traffic.sequences.map((one) => one.length)).toEqual([1537, 1537, 1537]);
});

describe("limits", () => {
  it("say exactly how long a sequence alone may be", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20_000 }), fc.constantFrom(1, 2), (positions, rowMultiple) => {
        const kv = new BatchSlots(new HostKvCache(SHAPE), { maxBytes: positions * POSITION + 3, rowMultiple });
        const longest = kv.maxLength();
        if (longest > 0) expect(kv.canEverFit(longest)).toBe(true);
        expect(kv.canEverFit(longest + 1)).toBe(false);
      }),
    );
  });

  it("count a bucket as what holds any length in it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), (length) => {
        expect(positionBucket(length)).toBeGreaterThanOrEqual(length);
        expect(positionBucket(positionBucket(length))).toBe(positionBucket(length));
        expect(positionBucket(length + 1)).toBeGreaterThanOrEqual(positionBucket(length));
      }),
    );
    expect([0, 1, 2, 3, 5, 9, 17].map(rowBucket)).toEqual([0, 1, 2, 4, 8, 16, 32]);
  });

  it("refuse what nobody reserved, and rows that are not there, as mistakes of ours", () => {
    const kv = new BatchSlots(new HostKvCache(SHAPE), { maxBytes: 1000 * POSITION, rowMultiple: 1 });
    kv.admit(7, 10);
    expect(() => kv.extend(0, 11)).toThrow(/internal: row 0 cannot take 11/);
    expect(() => kv.extend(1, 1)).toThrow(/internal: row 1/);
    expect(() => kv.release(8)).toThrow(/internal: sequence 8 has no row/);
    kv.startDecoding(7);
    expect(() => kv.startDecoding(7)).toThrow(/decoding already/);
  });
});
