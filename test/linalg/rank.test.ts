import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rankForThreshold } from "../../src/linalg/rank.ts";

const descending = fc
  .array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((values) => values.sort((a, b) => b - a));
const threshold = fc.double({ min: 1e-6, max: 1, noNaN: true });

describe("rankForThreshold", () => {
  it("is the smallest count that reaches the proportion", () => {
    expect(rankForThreshold([4, 3, 2, 1], 0.4)).toBe(1);
    expect(rankForThreshold([4, 3, 2, 1], 0.41)).toBe(2);
    expect(rankForThreshold([4, 3, 2, 1], 0.7)).toBe(2);
    expect(rankForThreshold([4, 3, 2, 1], 1)).toBe(4);
  });

  it("counts the values that are not zero at threshold 1, whatever their sum rounds to", () => {
    const alike = Array.from({ length: 1000 }, () => 0.1);
    expect(rankForThreshold([...alike, 0, 0], 1)).toBe(1000);
    expect(rankForThreshold(Float32Array.of(5, 0.3, 1e-6, 0), 1)).toBe(3);
  });

  it("is 1 for the zero matrix", () => {
    expect(rankForThreshold([0, 0, 0], 1)).toBe(1);
    expect(rankForThreshold([0], 0.25)).toBe(1);
  });

  it("never decreases as the threshold grows, and is capped by maxRank", () => {
    fc.assert(
      fc.property(descending, threshold, threshold, fc.integer({ min: 1, max: 50 }), (values, a, b, cap) => {
        const low = rankForThreshold(values, Math.min(a, b));
        const high = rankForThreshold(values, Math.max(a, b));
        expect(low).toBeGreaterThanOrEqual(1);
        expect(high).toBeGreaterThanOrEqual(low);
        expect(rankForThreshold(values, Math.max(a, b), cap)).toBe(Math.min(high, cap));
      }),
    );
  });

  it.each([0, -1, 1.01, NaN])("refuses the threshold %f", (bad) => {
    expect(() => rankForThreshold([1], bad)).toThrow(/internal: a threshold/);
  });

  it.each([0, -3, NaN])("refuses the largest rank %f", (bad) => {
    expect(() => rankForThreshold([1], 0.5, bad)).toThrow(/internal: a largest rank/);
  });
});
