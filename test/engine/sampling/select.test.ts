import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { selectMass, selectTop } from "../../../src/engine/sampling/select.ts";

/** Ids by value, largest first, the lower id first among equals. */
function sortedIds(values: ArrayLike<number>): number[] {
  return Array.from({ length: values.length }, (_, id) => id).sort((a, b) => values[b]! - values[a]! || a - b);
}

/** Few distinct values, so that ties are common. */
const values = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 60 });

describe("selectTop", () => {
  it("finds what sorting finds, ties by lower id", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 70 }), (row, count) => {
        const ids = new Int32Array(70);
        const size = selectTop(Float32Array.from(row), count, ids);
        const found = Array.from(ids.subarray(0, size)).sort((a, b) => a - b);
        expect(found).toEqual(
          sortedIds(row)
            .slice(0, count)
            .sort((a, b) => a - b),
        );
      }),
    );
  });

  it("takes minus infinity last", () => {
    const ids = new Int32Array(2);
    selectTop(Float32Array.of(-Infinity, -1, -Infinity, -2), 2, ids);
    expect(new Set(ids)).toEqual(new Set([1, 3]));
  });
});

describe("selectMass", () => {
  it("finds the shortest leading run of the sorted row that reaches the target", () => {
    const weights = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(weights, fc.double({ min: 0, max: 1, noNaN: true }), (row, share) => {
        const target = share * row.reduce((sum, weight) => sum + weight, 0);
        const order = sortedIds(row);
        let mass = 0;
        let expected = 0;
        while (expected < row.length && (expected === 0 || mass < target)) mass += row[order[expected++]!]!;
        const ids = Int32Array.from(row.keys());
        const sorted = Float64Array.from(row);
        const size = selectMass(ids, sorted, row.length, target);
        expect(Array.from(ids.subarray(0, size)).sort((a, b) => a - b)).toEqual(
          order.slice(0, expected).sort((a, b) => a - b),
        );
        expect([...ids].map((id) => row[id])).toEqual([...sorted]); // still parallel
      }),
      { numRuns: 500 },
    );
  });

  it("takes all when rounding leaves the target above the sum", () => {
    const ids = Int32Array.of(0, 1, 2);
    expect(selectMass(ids, Float64Array.of(0.1, 0.2, 0.3), 3, 0.7)).toBe(3);
  });

  it("stays linear on constant and sorted rows", () => {
    const size = 200_000;
    for (const weightAt of [() => 1, (i: number) => i, (i: number) => size - i]) {
      const weights = Float64Array.from({ length: size }, (_, i) => weightAt(i));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const start = performance.now();
      selectMass(Int32Array.from(weights.keys()), weights, size, total / 2);
      expect(performance.now() - start).toBeLessThan(1000); // a quadratic walk takes minutes
    }
  });
});
