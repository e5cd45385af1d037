/** Rows of a host and rows of a device, which here is the CPU: what is read is the same, and so are the tokens that come of it. */
import { beforeAll, describe, expect, it } from "vitest";
import { GREEDY } from "../../src/engine/engine.ts";
import { type LogitReader, openDeviceReader, openHostReader } from "../../src/engine/logit-reader.ts";
import { type LogitRow, type TopRow, WHOLE } from "../../src/engine/logit-rows.ts";
import { tokenLogprob } from "../../src/engine/logprobs.ts";
import type { SamplingParams } from "../../src/engine/protocol.ts";
import { chooseToken, createSamplerScratch, createSamplingState, needOf } from "../../src/engine/sampler.ts";
import { runtimeTensor } from "../../src/runtime/ort.ts";
import { nextNormal, seedRandom } from "../../src/tensor/random.ts";

const V = 1280;
const NUM_ROWS = 3;
const PADDED = 4;

const random = seedRandom(8);
const data = Float32Array.from({ length: PADDED * V }, () => Math.round(nextNormal(random) * 256) / 64);
const tensor = (values: Float32Array) => runtimeTensor("float32", values, [PADDED, V]);
const rowOf = (row: number): Float32Array => data.subarray(row * V, (row + 1) * V);

let host: LogitReader;
let device: LogitReader;
beforeAll(async () => {
  host = await openHostReader(V, 1);
  device = await openDeviceReader(V, { device: "cpu", numThreads: 1 });
  return async () => {
    await host[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
  };
});

const scratch = createSamplerScratch(V);
const tokens = (row: LogitRow, params: Partial<SamplingParams>): (number | null)[] => {
  const state = createSamplingState({ ...GREEDY, ...params }, new Int32Array());
  return Array.from({ length: 40 }, () => chooseToken(row, state, [], scratch));
};

describe("rows of the host", () => {
  it("come with maxima that give the same tokens as those that the sampler works out", async () => {
    const rows = await host.rowsOf(tensor(data), NUM_ROWS).read(Array.from({ length: NUM_ROWS }, () => WHOLE));
    for (const [i, row] of rows.entries()) {
      const plain: LogitRow = { kind: "whole", logits: rowOf(i), maxima: null, blockSize: 128 };
      expect((row as { maxima: unknown }).maxima).not.toBeNull();
      for (const params of [{}, { temperature: 1 }, { temperature: 0.8, topP: 0.9 }, { temperature: 1, topK: 20 }])
        expect(tokens(row!, params)).toEqual(tokens(plain, params)); // asked for
    }
  });

  it("fail alone where a logit is not a number", async () => {
    for (const value of [NaN, Infinity]) {
      const bad = data.slice();
      bad[V + 77] = value;
      const rows = await host.rowsOf(tensor(bad), NUM_ROWS).read(Array.from({ length: NUM_ROWS }, () => WHOLE));
      expect(() => tokens(rows[1]!, {})).toThrow(/logit of/);
      expect(tokens(rows[0]!, {})[0]).toBe(rowOf(0).indexOf(Math.max(...rowOf(0))));
    }
  });
});

describe("rows of a device", () => {
  it("give the likeliest ids alone where nobody needs more", async () => {
    const need = needOf(createSamplingState(GREEDY, new Int32Array()), [], null);
    const rows = await device.rowsOf(tensor(data), NUM_ROWS).read([need, null, need]);
    expect(rows[1]).toBeNull();
    expect([rows[0], rows[2]].map((row) => (row as TopRow).ids.length)).toEqual([1, 1]);
    expect(tokens(rows[2]!, {})[0]).toBe(rowOf(2).indexOf(Math.max(...rowOf(2))));
  });

  it.each<[string, Partial<SamplingParams>]>([
    ["top_k", { temperature: 0.8, topK: 20 }],
    ["top_k and top_p", { temperature: 1.2, topK: 50, topP: 0.8 }],
    ["top_k and min_p", { temperature: 1.2, topK: 50, minP: 0.2 }],
  ])("give the host's tokens with %s", async (_, params) => {
    const need = needOf(createSamplingState({ ...GREEDY, ...params }, new Int32Array()), [], null);
    expect(need.numTop).toBeLessThan(Infinity);
    const needs = Array.from({ length: NUM_ROWS }, () => need);
    const [near, far] = await Promise.all([host, device].map((one) => one.rowsOf(tensor(data), NUM_ROWS).read(needs)));
    for (let row = 0; row < NUM_ROWS; row++) expect(tokens(far![row]!, params)).toEqual(tokens(near![row]!, params));
  });

  it("give up where top_p goes beyond the candidates, and suffice where it does not", async () => {
    const needs = [{ numTop: 64, temperature: 0.1 }, { numTop: 64, temperature: 5 }, null];
    const rows = await device.rowsOf(tensor(data), NUM_ROWS).read(needs);
    expect(tokens(rows[0]!, { temperature: 0.1, topP: 0.9 })).not.toContain(null);
    expect(new Set(tokens(rows[1]!, { temperature: 5, topP: 0.9 }))).toEqual(new Set([null]));
    expect(tokens(rows[0]!, { temperature: 0.1, logitBias: [[3, 1]] })[0]).toBeNull();
  });

  it("give the host's log-probabilities", async () => {
    const needs = Array.from({ length: NUM_ROWS }, () => ({ numTop: 64, temperature: 1 }));
    const rows = await device.rowsOf(tensor(data), NUM_ROWS).read(needs);
    for (const [i, row] of rows.entries()) {
      const plain: LogitRow = { kind: "whole", logits: rowOf(i), maxima: null, blockSize: 128 };
      const id = (row as TopRow).ids[3]!;
      const [found, expected] = [row!, plain].map((one) => tokenLogprob(one, id, 5, scratch)!);
      expect(found!.topIds).toEqual(expected!.topIds);
      expect(found!.logprob).toBeCloseTo(expected!.logprob, 5);
    }
  });

  it("give whole rows on demand, and nothing of one that holds what is not a number", async () => {
    const bad = data.slice();
    bad[2 * V + 5] = NaN;
    const rows = device.rowsOf(tensor(bad), NUM_ROWS);
    const first = await rows.read([WHOLE, { numTop: 1, temperature: 1 }, { numTop: 1, temperature: 1 }]);
    expect((first[0] as { logits: Float32Array }).logits).toEqual(rowOf(0));
    expect(tokens(first[2]!, {})[0]).toBeNull();
    const [, , again] = await rows.read([null, null, WHOLE]);
    expect(() => tokens(again!, {})).toThrow(/NaN/);
    expect((await rows.all()).length).toBe(NUM_ROWS * V);
  });
});
