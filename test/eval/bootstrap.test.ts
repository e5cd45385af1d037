import { describe, expect, it } from "vitest";
import { addUp, bootstrap } from "../../src/eval/bootstrap.ts";
import { nextNormal, seedRandom } from "../../src/tensor/random.ts";

const mean = ([sum = NaN, count = NaN]: Float64Array): number => sum / count;
const items = (values: Iterable<number>): Float64Array[] => [...values].map((value) => Float64Array.of(value, 1));

describe("the bootstrap", () => {
  const random = seedRandom(5);
  const values = Float64Array.from({ length: 400 }, () => 3 + 2 * nextNormal(random));
  const better = values.map((value) => value + 0.25);

  it("gives the same interval for the same seed, and another for another", () => {
    const of = (seed: number) => bootstrap([items(values)], mean, { seed });
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  it("agrees with the normal interval of a mean", () => {
    const { intervals } = bootstrap([items(values)], mean, { seed: 1, numResamples: 4000 });
    const average = mean(addUp(items(values)));
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - average) ** 2, 0) / values.length);
    const half = (1.96 * deviation) / Math.sqrt(values.length);
    expect(intervals[0]?.low).toBeCloseTo(average - half, 1);
    expect(intervals[0]?.high).toBeCloseTo(average + half, 1);
  });

  it("pairs the systems: a constant difference has no width", () => {
    const { intervals, differences } = bootstrap([items(values), items(better)], mean, { seed: 1 });
    expect(differences[0]).toEqual({ low: 0, high: 0 });
    expect(differences[1]?.low).toBeCloseTo(0.25, 12);
    expect(differences[1]?.high).toBeCloseTo(0.25, 12);
    expect(intervals[1]?.low).toBeGreaterThan(intervals[0]?.low ?? NaN);
  });

  it("covers a true mean about as often as it says", () => {
    const stream = seedRandom(9);
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const sample = Float64Array.from({ length: 60 }, () => nextNormal(stream));
      const { intervals } = bootstrap([items(sample)], mean, { seed: trial, numResamples: 300 });
      if ((intervals[0]?.low ?? 1) <= 0 && (intervals[0]?.high ?? -1) >= 0) covered++;
    }
    expect(covered / 200).toBeGreaterThan(0.9);
    expect(covered / 200).toBeLessThan(0.99);
  });

  it("refuses systems with different items", () => {
    expect(() => bootstrap([items([1]), items([1, 2])], mean, { seed: 1 })).toThrow(/internal/);
    expect(() => bootstrap([[]], mean, { seed: 1 })).toThrow(/internal/);
  });
});
