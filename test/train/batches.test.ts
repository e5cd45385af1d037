import { describe, expect, it } from "vitest";
import { type TrainExample, shuffledBatches, sortedBatches } from "../../src/train/data/batches.ts";
import { fitLength } from "../../src/train/data/fit-length.ts";

/**
 * An example of that many tokens, the last `numLoss` of which are to be predicted, `behind` tokens of no interest after
 * them.
 */
function example(length: number, numLoss: number, behind = 0): TrainExample {
  const lossMask = new Uint8Array(length).fill(1, length - numLoss - behind, length - behind);
  return { ids: Int32Array.from({ length }, (_, i) => i), lossMask, numLossTokens: numLoss };
}
const examples = Array.from({ length: 101 }, (_, i) => example(2 + ((i * 37) % 90), 1));
const sizes = { batchSize: 4, accumulate: 3 };

describe("shuffled batches", () => {
  it("take every example once an epoch, in another order each", () => {
    const source = shuffledBatches(examples, sizes, 5);
    expect(source.stepsPerEpoch).toBe(9);
    const epoch = (e: number) => Array.from({ length: 9 }, (_, i) => source.at(e * 9 + i)).flat(2);
    for (const e of [0, 1]) {
      expect(epoch(e)).toHaveLength(101);
      expect(new Set(epoch(e))).toEqual(new Set(examples));
    }
    expect(epoch(0)).not.toEqual(epoch(1));
  });

  it("are a function of the seed and the step alone", () => {
    const steps = [0, 3, 8, 9, 20];
    const once = shuffledBatches(examples, sizes, 5);
    const again = shuffledBatches(examples, sizes, 5);
    for (const step of steps.toReversed()) once.at(step);
    for (const step of steps) expect(again.at(step)).toEqual(once.at(step));
    expect(shuffledBatches(examples, sizes, 6).at(0)).not.toEqual(once.at(0));
  });

  it("pad little", () => {
    const source = shuffledBatches(examples, { batchSize: 8, accumulate: 1 }, 1);
    const all = Array.from({ length: source.stepsPerEpoch }, (_, i) => source.at(i)).flat();
    const used = examples.reduce((sum, { ids }) => sum + ids.length, 0);
    const padded = all.reduce((sum, batch) => sum + batch.length * Math.max(...batch.map(({ ids }) => ids.length)), 0);
    expect(padded / used).toBeLessThan(1.15);
  });
});

it("sorted batches hold every example, shortest first", () => {
  const lengths = sortedBatches(examples, 8)
    .flat()
    .map(({ ids }) => ids.length);
  expect(lengths).toEqual(examples.map(({ ids }) => ids.length).toSorted((a, b) => a - b));
});

describe("examples", () => {
  it("end behind the last token to predict, without being counted as cut", () => {
    const fitted = fitLength([example(20, 3, 10)], 12, "truncate");
    expect(fitted).toMatchObject({ numTruncated: 0, numSkipped: 0, numEmpty: 0 });
    expect(fitted.examples[0]?.ids).toHaveLength(10);
  });

  it("that are too long are cut or left out, and counted", () => {
    const all = [example(10, 5), example(30, 25), example(30, 5)];
    const cut = fitLength(all, 12, "truncate");
    expect(cut).toMatchObject({ numTruncated: 1, numSkipped: 0, numEmpty: 1 });
    expect(cut.examples.map(({ ids, numLossTokens }) => [ids.length, numLossTokens])).toEqual([
      [10, 5],
      [12, 7],
    ]);
    const left = fitLength(all, 12, "skip");
    expect(left).toMatchObject({ numTruncated: 0, numSkipped: 2, numEmpty: 0 });
    expect(left.examples).toHaveLength(1);
  });

  it("count no token that nothing stands before", () => {
    const { examples: kept } = fitLength([example(4, 4)], 8, "skip");
    expect(kept[0]?.numLossTokens).toBe(3);
    expect(fitLength([example(1, 1)], 8, "skip").numEmpty).toBe(1);
  });
});
