/**
 * Rows of a host and rows of a device, which here is the CPU: what is read is the same, and so are the tokens that come
 * of it.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { GREEDY } from "../../../src/engine/engine.ts";
import { openDeviceReader } from "../../../src/engine/run/device-logits.ts";
import { hostReader, wholeRowReader } from "../../../src/engine/run/host-logits.ts";
import {
  BEST,
  type LogitRow,
  type LogitRows,
  type RowNeed,
  type TopRow,
  WHOLE,
} from "../../../src/engine/sampling/logit-rows.ts";
import type { LogitReader } from "../../../src/engine/run/logit-reader.ts";
import { tokenLogprob } from "../../../src/engine/sampling/logprobs.ts";
import type { SamplingParams } from "../../../src/engine/protocol.ts";
import { chooseToken, createSamplerScratch, needOf } from "../../../src/engine/sampling/sampler.ts";
import { createSamplingState } from "../../../src/engine/sampling/sampling-state.ts";
import { Graph } from "../../../src/graph/graph.ts";
import { BEST_IDS, IS_WHOLE, ROW_SUMS, blockMaximaPort, wholeLogitsPort } from "../../../src/model/ports.ts";
import { readLogits } from "../../../src/device-graph/read-logits.ts";
import { type Session, runtimeTensor } from "../../../src/runtime/ort.ts";
import { nextNormal, seedRandom } from "../../../src/tensor/random.ts";
import { openGraph } from "../../helpers/run-graph.ts";

const V = 1280;
const NUM_ROWS = 3;
const PADDED = 4;

const random = seedRandom(8);
const data = Float32Array.from({ length: PADDED * V }, () => Math.round(nextNormal(random) * 256) / 64);
const tensor = (values: Float32Array) => runtimeTensor("float32", values, [PADDED, V]);
const rowOf = (row: number): Float32Array => data.subarray(row * V, (row + 1) * V);

/** The graph's part of it: what the serving graph of a host gives of its logits. */
let serving: Session;
let device: LogitReader & AsyncDisposable;
/** What the last step on the device has left. */
let left = tensor(data);
beforeAll(async () => {
  const graph = new Graph("serving");
  const isWhole = graph.input(IS_WHOLE.name, IS_WHOLE.dtype, IS_WHOLE.shape);
  const read = readLogits(graph.input("logits", "float32", ["N", V]), isWhole);
  graph.output(read.bestIds, BEST_IDS.name);
  graph.output(read.sums, ROW_SUMS.name);
  graph.output(read.maxima, blockMaximaPort(V).name);
  graph.output(read.whole, wholeLogitsPort(V).name);
  serving = await openGraph(graph, 1);
  device = await openDeviceReader(V, { device: "cpu", numThreads: 1 }, () => left);
  return async () => {
    await serving[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
  };
});

async function hostRows(values: Float32Array, needs: readonly RowNeed[]): Promise<LogitRows> {
  const view = await hostReader(V).view(needs, PADDED);
  const results = await serving.run({ logits: tensor(values), ...view.feeds }, view.fetches);
  return view.rowsOf(results);
}
async function deviceRows(values: Float32Array): Promise<LogitRows> {
  left = tensor(values);
  return (await device.view(allWhole, PADDED)).rowsOf({});
}
const every = (need: RowNeed): RowNeed[] => Array.from({ length: NUM_ROWS }, () => need);
const allWhole = every(WHOLE);

const scratch = createSamplerScratch(V);
const tokens = (row: LogitRow, params: Partial<SamplingParams>): (number | null)[] => {
  const state = createSamplingState({ ...GREEDY, ...params }, new Int32Array());
  return Array.from({ length: 40 }, () => chooseToken(row, state, [], scratch));
};

describe("rows of the host", () => {
  it("come with maxima that give the same tokens as those that the sampler works out", async () => {
    const rows = await (await hostRows(data, allWhole)).read(allWhole);
    for (const [i, row] of rows.entries()) {
      const plain: LogitRow = { kind: "whole", logits: rowOf(i), maxima: null, blockSize: 128 };
      expect((row as { maxima: unknown }).maxima).not.toBeNull();
      for (const params of [{}, { temperature: 1 }, { temperature: 0.8, topP: 0.9 }, { temperature: 1, topK: 20 }])
        expect(tokens(row!, params)).toEqual(tokens(plain, params)); // asked for
    }
  });

  it("are the best token alone where no more is needed, beside whole ones", async () => {
    const needs = [BEST, WHOLE, BEST];
    const rows = await hostRows(data, needs);
    const [first, second, third] = await rows.read(needs);
    for (const [row, at] of [
      [first, 0],
      [third, 2],
    ] as const) {
      expect(row).toMatchObject({ kind: "top", ids: Int32Array.of(rowOf(at).indexOf(Math.max(...rowOf(at)))) });
      expect(tokens(row!, {})[0]).toBe((row as TopRow).ids[0]); // asked for
    }
    expect((second as { logits: Float32Array }).logits).toEqual(rowOf(1));
    await expect(rows.all()).rejects.toThrow(/not asked for/);
    expect(await (await hostRows(data, allWhole)).all()).toEqual(data.subarray(0, NUM_ROWS * V));
  });

  it.each([
    ["whole", WHOLE],
    ["only their best", BEST],
  ])("fail alone where a logit is not a number: %s", async (_, need) => {
    for (const value of [NaN, Infinity]) {
      const bad = data.slice();
      bad[V + 77] = value;
      const rows = await (await hostRows(bad, every(need))).read(every(need));
      expect(() => tokens(rows[1]!, {})).toThrow(/logit of/);
      for (const row of [0, 2]) expect(tokens(rows[row]!, {})[0]).toBe(rowOf(row).indexOf(Math.max(...rowOf(row))));
    }
  });

  it("keep their places where another row, or one that only pads the run, holds what is not a number", async () => {
    const bad = data.slice();
    bad.fill(NaN, 0, V);
    bad[3 * V + 9] = NaN; // of the padding
    const needs = [BEST, WHOLE, BEST];
    const [first, second, third] = await (await hostRows(bad, needs)).read(needs);
    expect(() => tokens(first!, {})).toThrow(/logit of NaN/); // asked for
    expect((second as { logits: Float32Array }).logits).toEqual(rowOf(1));
    expect(tokens(third!, {})[0]).toBe(rowOf(2).indexOf(Math.max(...rowOf(2)))); // asked for
    expect(await (await hostRows(bad, allWhole)).all()).toEqual(bad.subarray(0, NUM_ROWS * V));
  });

  it("are chosen from where their sum alone is beyond numbers", async () => {
    const large = data.slice();
    large.fill(3e38, 0, V);
    large[77] = 3.3e38;
    const [row] = await (await hostRows(large, every(BEST))).read([BEST, null, null]);
    expect(tokens(row!, {})[0]).toBe(77); // asked for
  });

  it("are none of a run that reads none", async () => {
    const rows = await hostRows(data, []);
    expect([rows.numRows, await rows.read([]), (await rows.all()).length]).toEqual([0, [], 0]);
  });

  it("may hold minus infinity: such a token is never chosen", async () => {
    const masked = data.slice();
    masked.fill(-Infinity, 0, V - 1);
    const [row] = await (await hostRows(masked, every(BEST))).read([BEST, null, null]);
    expect(tokens(row!, {})[0]).toBe(V - 1); // asked for
  });
});

describe("rows of a host whose graph gives its logits", () => {
  it("are whole, whatever is needed, and give the same tokens", async () => {
    const view = await wholeRowReader(V).view([BEST, WHOLE], PADDED);
    expect([view.feeds, Object.keys(view.fetches)]).toEqual([{}, ["logits"]]);
    const rows = view.rowsOf({ logits: tensor(data) });
    const [first, none] = await rows.read([BEST, null]);
    expect([tokens(first!, {})[0], none]).toEqual([rowOf(0).indexOf(Math.max(...rowOf(0))), null]); // asked for
    expect([rows.numRows, await rows.all()]).toEqual([2, data.subarray(0, 2 * V)]);
  });
});

describe("rows of a device", () => {
  it("give the likeliest ids alone where nobody needs more", async () => {
    const need = needOf(createSamplingState(GREEDY, new Int32Array()), [], null);
    const rows = await (await deviceRows(data)).read([need, null, need]);
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
    const near = await (await hostRows(data, every(need))).read(every(need));
    const far = await (await deviceRows(data)).read(every(need));
    for (let row = 0; row < NUM_ROWS; row++) expect(tokens(far[row]!, params)).toEqual(tokens(near[row]!, params));
  });

  it("give up where top_p goes beyond the candidates, and suffice where it does not", async () => {
    const needs = [{ numTop: 64, temperature: 0.1 }, { numTop: 64, temperature: 5 }, null];
    const rows = await (await deviceRows(data)).read(needs);
    expect(tokens(rows[0]!, { temperature: 0.1, topP: 0.9 })).not.toContain(null);
    expect(new Set(tokens(rows[1]!, { temperature: 5, topP: 0.9 }))).toEqual(new Set([null]));
    expect(tokens(rows[0]!, { temperature: 0.1, logitBias: [[3, 1]] })[0]).toBeNull();
  });

  it("give the host's log-probabilities", async () => {
    const needs = every({ numTop: 64, temperature: 1 });
    const rows = await (await deviceRows(data)).read(needs);
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
    const rows = await deviceRows(bad);
    const first = await rows.read([WHOLE, BEST, BEST]);
    expect((first[0] as { logits: Float32Array }).logits).toEqual(rowOf(0));
    expect(tokens(first[2]!, {})[0]).toBeNull();
    const [, , again] = await rows.read([null, null, WHOLE]);
    expect(() => tokens(again!, {})).toThrow(/NaN/);
    expect((await rows.all()).length).toBe(NUM_ROWS * V);
  });
});
