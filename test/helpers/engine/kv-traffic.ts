/**
 * The engine's traffic on KV rows without a model, for every implementation of the cache: what is written gets a stamp
 * of its sequence, and what is read has to have it. How values are read and written is the implementation's.
 */
import fc from "fast-check";
import { expect } from "vitest";
import { type KvCache, bytesPerPosition } from "../../../src/engine/kv/kv-cache.ts";
import { BatchRows } from "../../../src/engine/kv/batch-rows.ts";
import { cacheHeadSize, cachePorts } from "../../../src/model/ports.ts";
import { type RuntimeTensor } from "../../../src/runtime/ort.ts";
import { numElements } from "../../../src/tensor/host-tensor.ts";
import { SHAPE, type Values, resultsOf, stamp, visit, samples } from "./kv-values.ts";

export const POSITION = bytesPerPosition(SHAPE);

/** A cache, and how a test looks into the tensors it gives. */
export interface CacheUnderTest {
  readonly cache: KvCache;
  read(tensor: RuntimeTensor): Promise<Float32Array>;
  /** Where a run writes the tensors it was fed in place. */
  write?(tensor: RuntimeTensor, values: Float32Array): Promise<void>;
}

interface Sequence {
  readonly id: number;
  readonly reserved: number;
  length: number;
  isDecoding: boolean;
}

/** Every position that is written gets a stamp of its sequence. */
export class Traffic {
  readonly kv: BatchRows;
  readonly #test: CacheUnderTest;
  readonly maxBytes: number;
  readonly sequences: Sequence[] = [];
  #nextId = 1;

  constructor(test: CacheUnderTest, maxBytes: number, rowMultiple: number) {
    this.#test = test;
    this.maxBytes = maxBytes;
    this.kv = new BatchRows(test.cache, { maxBytes, rowMultiple });
  }

  async #read(first: number, count: number, length: number): Promise<Values> {
    const view = await this.kv.view(first, count, length);
    const parts = [];
    for (let layer = 0; layer < SHAPE.numLayers; layer++) {
      const ports = cachePorts(layer, SHAPE);
      for (const [past, present] of [
        [ports.pastKey, ports.presentKey],
        [ports.pastValue, ports.presentValue],
      ] as const) {
        const tensor = view.feeds[past.name]!; // a port of this cache
        if (!view.keep) expect(view.fetches[present.name]).toBe(tensor);
        expect(tensor.dims).toEqual([count, SHAPE.numKvHeads, expect.any(Number), cacheHeadSize(SHAPE)]);
        const data = await this.#test.read(tensor);
        expect(data.length).toBe(numElements(tensor.dims));
        parts.push({ data, dims: tensor.dims, tensor });
      }
    }
    return { view, parts };
  }

  /** Writes what was changed as a run would that adds `numTokens` positions to each row. */
  async #write(values: Values, lastPositions: readonly number[], numTokens: number): Promise<void> {
    const { keep, fetches } = values.view;
    if (!keep) {
      for (const { data, tensor } of values.parts) await this.#test.write!(tensor, data); // in place, or kept
      return;
    }
    const results = resultsOf(values, lastPositions, numTokens);
    expect(new Set(Object.keys(fetches))).toEqual(new Set(Object.keys(results)));
    keep(results, lastPositions);
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

  async prefill(pick: number, count: number): Promise<void> {
    const waiting = this.sequences.filter((one) => !one.isDecoding && one.length + 1 < one.reserved);
    const one = waiting[pick % Math.max(1, waiting.length)];
    if (!one) return;
    // The last position is for an answer: a prompt that leaves none is released with its last chunk.
    const length = Math.min(one.length + count, one.reserved - 1);
    const row = this.kv.rowOf(one.id);
    this.kv.extend(row, length);
    this.kv.allocate(row, 1, length);
    const values = await this.#read(row, 1, length);
    const numTokens = length - one.length;
    for (; one.length < length; one.length++) this.#stamp(values, 0, one);
    await this.#write(values, [length - 1], numTokens);
  }

  startDecoding(pick: number): void {
    const ready = this.sequences.filter((one) => !one.isDecoding && one.length > 0);
    const one = ready[pick % Math.max(1, ready.length)];
    if (!one) return;
    this.kv.startDecoding(one.id);
    one.isDecoding = true;
  }

  /** One step as the model runner makes it, its padding row's write included. */
  async decode(): Promise<void> {
    for (const one of this.sequences.slice()) if (one.isDecoding && one.length === one.reserved) this.release(one);
    const ids = this.kv.decodingIds();
    if (ids.length === 0) return;
    const numRows = this.kv.paddedRows(ids.length);
    const lengths = Array.from({ length: numRows }, (_, row) =>
      row < ids.length ? this.kv.lengthOf(row) : this.kv.paddingPosition(row),
    );
    ids.forEach((_, row) => this.kv.extend(row, lengths[row]! + 1)); // as many
    this.kv.allocate(0, numRows, Math.max(...lengths) + 1);
    const values = await this.#read(0, numRows, Math.max(...lengths) + 1);
    // As many.
    for (let row = ids.length; row < numRows; row++) visit(values, row, lengths[row]!, (data, at) => (data[at] = -1));
    ids.forEach((id, row) => {
      const one = this.sequences.find((sequence) => sequence.id === id)!; // admitted here
      this.#stamp(values, row, one);
      one.length++;
    });
    await this.#write(values, lengths.slice(0, ids.length), 1);
  }

  release(one: Sequence): void {
    this.kv.release(one.id);
    this.sequences.splice(this.sequences.indexOf(one), 1);
  }

  #stamp(values: Values, row: number, one: Sequence): void {
    visit(values, row, one.length, (data, at, mark) => (data[at] = stamp(one.id, one.length, mark)));
  }

  /** Takes positions of a row out, writes over them, and puts them back. */
  async copyOutAndIn(pick: number, from: number, count: number): Promise<void> {
    const waiting = this.sequences.filter((one) => !one.isDecoding && one.length >= from + count);
    const one = waiting[pick % Math.max(1, waiting.length)];
    if (!one || count === 0) return;
    const row = this.kv.rowOf(one.id);
    const chunk = await this.kv.copyOut(one.id, from, count);
    expect(chunk.numPositions).toBe(count);
    expect(chunk.bytes).toBe(count * POSITION);
    const values = await this.#read(row, 1, one.length);
    for (let position = from; position < from + count; position++)
      visit(values, 0, position, (data, at) => (data[at] = -2));
    await this.#write(values, [from + count - 1], count);
    await this.kv.copyIn(one.id, from, chunk);
    chunk.free();
  }

  async check(): Promise<void> {
    expect(this.kv.bytes).toBeLessThanOrEqual(this.maxBytes);
    expect(this.kv.usage()).toBeLessThanOrEqual(1);
    const decoding = this.sequences.filter((one) => one.isDecoding);
    expect(new Set(this.kv.decodingIds())).toEqual(new Set(decoding.map((one) => one.id)));
    const longest = Math.max(0, ...decoding.map((one) => one.length));
    if (decoding.length > 0) this.kv.allocate(0, decoding.length, longest);
    const batch = decoding.length > 0 ? await this.#read(0, decoding.length, longest) : null;
    for (const one of this.sequences) {
      const row = this.kv.rowOf(one.id);
      expect(row < decoding.length).toBe(one.isDecoding);
      expect(this.kv.lengthOf(row)).toBe(one.length);
      if (one.length === 0) continue;
      const [values, at] = one.isDecoding ? [batch!, row] : [await this.#read(row, 1, one.length), 0]; // some are
      let numWrong = 0;
      for (const position of samples(one.length))
        visit(values, at, position, (data, i, mark) => {
          if (data[i] !== Math.fround(stamp(one.id, position, mark))) numWrong++;
        });
      expect(numWrong, `values of sequence ${one.id} that are not its own`).toBe(0);
    }
    if (this.sequences.length === 0) expect(this.kv.bytes).toBe(0);
    expect(this.kv.bytes).toBeLessThanOrEqual(this.maxBytes);
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
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("copy" as const),
      pick: fc.nat(20),
      from: fc.constantFrom(0, 64, 100),
      count: fc.constantFrom(1, 64),
    }),
  },
);

/** Random traffic on fresh caches: what a sequence wrote stays its own, and memory stays within what was allowed. */
export async function assertTraffic(
  open: (maxBytes: number) => CacheUnderTest,
  { rowMultiple, numRuns, maxLength = 40 }: { rowMultiple: number; numRuns: number; maxLength?: number },
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 100, max: 6000 }),
      fc.array(operation, { minLength: 5, maxLength }),
      async (positions, operations) => {
        const maxBytes = positions * POSITION;
        const traffic = new Traffic(open(maxBytes), maxBytes, rowMultiple);
        for (const one of operations) {
          if (one.do === "admit") traffic.admit(one.count);
          else if (one.do === "prefill") await traffic.prefill(one.pick, one.count);
          else if (one.do === "start") traffic.startDecoding(one.pick);
          else if (one.do === "decode") await traffic.decode();
          else if (one.do === "copy") await traffic.copyOutAndIn(one.pick, one.from, one.count);
          else {
            const victim = traffic.sequences[one.pick % Math.max(1, traffic.sequences.length)];
            if (victim) traffic.release(victim);
          }
          await traffic.check();
        }
        for (const one of traffic.sequences.slice()) traffic.release(one);
        await traffic.check();
      },
    ),
    { numRuns },
  );
}
