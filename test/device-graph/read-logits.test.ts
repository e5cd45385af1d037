/** What the serving graph reads of its logits, against plain loops over the same rows. */
import { describe, expect, it } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { logitBlockSize, readLogits } from "../../src/device-graph/read-logits.ts";
import type { Session } from "../../src/runtime/ort.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { logitsOnGrid } from "../helpers/engine/logits.ts";
import { openGraph, runSession } from "../helpers/run-graph.ts";

const MAX_ROWS = 17;

async function opened(vocabSize: number): Promise<Session> {
  const graph = new Graph("read-logits");
  const isWhole = graph.input("is_whole", "bool", ["N"]);
  const results = readLogits(graph.input("logits", "float32", ["N", vocabSize]), isWhole);
  for (const [name, one] of Object.entries(results)) graph.output(one, name);
  return await openGraph(graph, 2);
}

async function read(session: Session, data: Float32Array, vocabSize: number, wanted: readonly number[] = []) {
  const numRows = data.length / vocabSize;
  const isWhole = Uint8Array.from({ length: numRows }, (_, row) => Number(wanted.includes(row)));
  const tensors = {
    logits: hostTensor("float32", [numRows, vocabSize], data),
    is_whole: hostTensor("bool", [numRows], isWhole),
  };
  const results = await runSession(session, tensors);
  // One of its outputs.
  const numbers = (name: string): number[] => Array.from(results[name]!.data as Float32Array, Number);
  return {
    bestIds: numbers("bestIds"),
    sums: numbers("sums"),
    maxima: numbers("maxima"),
    whole: results.whole!.data as Float32Array, // one of its outputs
  };
}

describe("what is read of logits", () => {
  it.each([
    ["in blocks", 1280],
    ["in blocks of another size", 50 * 29],
    ["whose size is a prime", 1277],
  ])("is the first of the likeliest tokens, sums and maxima: vocabulary %s", async (_, vocabSize) => {
    await using session = await opened(vocabSize);
    const data = logitsOnGrid(MAX_ROWS, vocabSize);
    const rows = Array.from({ length: MAX_ROWS }, (_row, i) => data.subarray(i * vocabSize, (i + 1) * vocabSize));
    const size = logitBlockSize(vocabSize);
    const blocks = Array.from({ length: data.length / size }, (_block, i) => data.subarray(i * size, (i + 1) * size));
    const { bestIds, sums, maxima, whole } = await read(session, data, vocabSize);
    expect(bestIds).toEqual(rows.map((row) => row.indexOf(Math.max(...row))));
    expect(maxima).toEqual(blocks.map((block) => Math.max(...block)));
    const expected = rows.map((row) => row.reduce((a, b) => a + b, 0));
    expectAllclose(sums, expected, { rtolOfMax: 1e-5 });
    expect(whole).toHaveLength(0);
  });

  it("is the lower id of two that are equally likely: within a block, in two blocks, and of two zeros", async () => {
    await using session = await opened(1280);
    const tied = (...places: readonly (readonly [number, number])[]): Float32Array => {
      const row = new Float32Array(1280).fill(-1);
      for (const [at, value] of places) row[at] = value;
      return row;
    };
    const rows = [
      tied([70, 2], [77, 2]),
      tied([700, 2], [130, 2]),
      tied([300, 0], [900, -0]),
      tied([300, -0], [900, 0]),
    ];
    const { bestIds } = await read(session, Float32Array.from(rows.flatMap((row) => [...row])), 1280);
    expect(bestIds).toEqual([70, 130, 300, 300]);
  });

  it("is the whole of rows that are wanted whole, in their order", async () => {
    await using session = await opened(1280);
    const data = logitsOnGrid(4, 1280);
    const { whole } = await read(session, data, 1280, [1, 3]);
    expect(whole).toEqual(Float32Array.of(...data.subarray(1280, 2560), ...data.subarray(3840)));
  });

  it.each([1280, 1277])(
    "is the whole of a row with what is not a number, wherever it is (%i logits)",
    async (vocabSize) => {
      await using session = await opened(vocabSize);
      for (const value of [NaN, Infinity, -Infinity])
        for (const at of [0, 1, 63, 127, 128, 700, vocabSize - 1]) {
          const data = logitsOnGrid(3, vocabSize);
          data[vocabSize + at] = value;
          const { bestIds, sums, whole } = await read(session, data, vocabSize, [2]);
          expect(sums.map(Number.isFinite), `${value} at ${at}`).toEqual([true, false, true]);
          expect(whole).toEqual(data.subarray(vocabSize));
          expect(bestIds[0]).toBe(data.indexOf(Math.max(...data.subarray(0, vocabSize))));
        }
    },
  );

  it("has the same bits in every batch, and nothing of no rows", async () => {
    await using session = await opened(1280);
    const data = logitsOnGrid(MAX_ROWS, 1280);
    for (let count = 1; count <= MAX_ROWS; count++) {
      const some = await read(session, data.subarray(0, count * 1280), 1280);
      for (const row of [0, count - 1]) {
        const alone = await read(session, data.subarray(row * 1280, (row + 1) * 1280), 1280);
        for (const name of ["bestIds", "sums", "maxima"] as const) {
          const size = alone[name].length;
          expect(some[name].slice(row * size, (row + 1) * size), `${name} of ${count}`).toEqual(alone[name]);
        }
      }
    }
    const none = await read(session, new Float32Array(0), 1280);
    expect([none.bestIds, none.sums, none.maxima, [...none.whole]]).toEqual([[], [], [], []]);
  });
});

describe("the size of a block", () => {
  it("divides the vocabulary, near to 128, or is all of it", () => {
    expect([151_936, 32_000, 50_257, 152_064, 40, 1].map(logitBlockSize)).toEqual([128, 128, 29, 128, 40, 1]);
    expect(logitBlockSize(7919)).toBe(7919); // a prime
  });
});
