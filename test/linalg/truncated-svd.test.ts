import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { truncatedSvd } from "../../src/linalg/truncated-svd.ts";
import { expectSvdLaws } from "./laws.ts";

/** Small integers over a power of two: exact in float32 and often of low rank, with repeated rows and zeros. */
const coarse = fc.integer({ min: -2, max: 2 });
const fine = fc.integer({ min: -(2 ** 20), max: 2 ** 20 }).map((value) => value / 2 ** 20);

function matrices(element: fc.Arbitrary<number>, maxSide: number, maxExponent: number) {
  const side = fc.integer({ min: 1, max: maxSide });
  return fc
    .tuple(side, side, fc.integer({ min: -maxExponent, max: maxExponent }))
    .chain(([dOut, dIn, exponent]) =>
      fc
        .array(element, { minLength: dOut * dIn, maxLength: dOut * dIn })
        .map((values) => ({ dOut, dIn, weight: Float32Array.from(values, (value) => value * 2 ** exponent) })),
    );
}

const threshold = fc.double({ min: 0.01, max: 1, noNaN: true });

/** Repeatable values in [-0.5, 0.5). */
function noise(length: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

/** Product of integer factors [rows,rank]·[rank,cols], exact in float32. */
function lowRank(rows: number, cols: number, rank: number): Float32Array {
  const left = noise(rows * rank, 3).map((value) => Math.round(value * 16));
  const right = noise(rank * cols, 4).map((value) => Math.round(value * 16));
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    let sum = 0;
    for (let p = 0; p < rank; p++)
      sum += (left[Math.floor(i / cols) * rank + p] as number) * (right[p * cols + (i % cols)] as number);
    return sum;
  });
}

describe("truncatedSvd", () => {
  it.each([
    ["fine", fine],
    ["coarse", coarse],
  ])("obeys the laws of the SVD for any %s matrix, scale and threshold", async (_, element) => {
    await fc.assert(
      fc.asyncProperty(matrices(element, 13, 100), threshold, async ({ weight, dOut, dIn }, m) => {
        expectSvdLaws(weight, dOut, dIn, await truncatedSvd(weight, dOut, dIn, { threshold: m }));
      }),
      { numRuns: 200 },
    );
  });

  it("gives finite numbers for anything float32 can hold, subnormal or huge", async () => {
    const anything = fc.float({ min: Math.fround(-1e37), max: Math.fround(1e37), noNaN: true });
    await fc.assert(
      fc.asyncProperty(matrices(anything, 6, 0), threshold, async ({ weight, dOut, dIn }, m) => {
        const { k, U, V, sigma, nuclearNorm } = await truncatedSvd(weight, dOut, dIn, { threshold: m });
        expect(k).toBeGreaterThanOrEqual(1);
        for (const value of [...U, ...V, ...sigma, nuclearNorm]) expect(value).toSatisfy(Number.isFinite);
      }),
      { numRuns: 200 },
    );
  });

  it.each([-149, -80, 80, 120])(
    "gives the same vectors when the weight is scaled by 2^%i, only sigma moves",
    async (exponent) => {
      // Integers, so that scaling is exact even where float32 is subnormal. Squares of squares must not leave float64's
      // range.
      const weight = noise(30, 8).map((value) => Math.round(value * 20));
      const scaled = weight.map((value) => value * 2 ** exponent);
      const expected = await truncatedSvd(weight, 6, 5, { threshold: 0.8 });
      const { U, V, sigma } = await truncatedSvd(scaled, 6, 5, { threshold: 0.8 });
      expect({ U, V }).toEqual({ U: expected.U, V: expected.V });
      for (const [i, value] of sigma.entries())
        expect(Math.abs(value / 2 ** exponent - (expected.sigma[i] as number))).toBeLessThan(
          exponent < -126 ? 0.51 : 1e-5,
        );
    },
  );

  it("never keeps more than maxRank and keeps the same leading triplets", async () => {
    const weight = noise(20 * 30, 1);
    const full = await truncatedSvd(weight, 20, 30, { threshold: 1 });
    const capped = await truncatedSvd(weight, 20, 30, { threshold: 1, maxRank: 3 });
    expect(capped.k).toBe(3);
    expectSvdLaws(weight, 20, 30, capped);
    expect([...capped.sigma]).toEqual([...full.sigma.subarray(0, 3)]);
    expect(capped.nuclearNorm).toBe(full.nuclearNorm);
  });

  it.each([
    [300, 200, 1],
    [200, 300, 17],
    [64, 64, 63],
  ])("finds the exact rank at threshold 1: %i × %i of rank %i", async (dOut, dIn, rank) => {
    const weight = lowRank(dOut, dIn, rank);
    const svd = await truncatedSvd(weight, dOut, dIn, { threshold: 1 });
    expect(svd.k).toBe(rank);
    expect(svd.singularValues.filter((value) => value > 0).length).toBe(rank);
    expectSvdLaws(weight, dOut, dIn, svd);
  });

  it("finds all vectors of a multiple of the identity", async () => {
    const n = 50;
    const weight = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? -3 : 0));
    const svd = await truncatedSvd(weight, n, n, { threshold: 1 });
    expect(svd.k).toBe(n);
    expectSvdLaws(weight, n, n, svd);
  });

  it("finds orthonormal vectors where many values agree to the last bits", async () => {
    // A permuted block matrix: every value of the block occurs twelve times.
    const block = noise(25, 9);
    const n = 60;
    const weight = new Float32Array(n * n);
    for (let copy = 0; copy < 12; copy++)
      for (let i = 0; i < 25; i++)
        weight[(Math.floor(i / 5) * 12 + copy) * n + copy * 5 + (i % 5)] = block[i] as number;
    const svd = await truncatedSvd(weight, n, n, { threshold: 1 });
    expectSvdLaws(weight, n, n, svd);
  });

  it("gives the same bits twice", async () => {
    const weight = noise(70 * 50, 5);
    const once = await truncatedSvd(weight, 70, 50, { threshold: 0.5 });
    expect(await truncatedSvd(weight, 70, 50, { threshold: 0.5 })).toEqual(once);
  });

  it("leaves the weight as it was", async () => {
    const weight = noise(12, 6);
    await truncatedSvd(weight, 4, 3, { threshold: 1 });
    expect(weight).toEqual(noise(12, 6));
  });

  it.each([NaN, Infinity, -Infinity])("refuses %f in the weight and says where", async (value) => {
    const weight = noise(12, 7);
    weight[7] = value;
    await expect(truncatedSvd(weight, 3, 4, { threshold: 0.5 })).rejects.toMatchObject({
      code: "checkpoint_invalid",
      message: expect.stringContaining("row 1, column 3"),
    });
  });

  it("refuses a weight whose largest singular value is beyond float32", async () => {
    const weight = new Float32Array(9).fill(3e38);
    await expect(truncatedSvd(weight, 3, 3, { threshold: 1 })).rejects.toMatchObject({ code: "checkpoint_invalid" });
  });

  it("refuses a shape that does not hold the values", async () => {
    await expect(truncatedSvd(new Float32Array(6), 4, 2, { threshold: 1 })).rejects.toThrow(/internal:.*\[4,2\]/);
    await expect(truncatedSvd(new Float32Array(0), 0, 2, { threshold: 1 })).rejects.toThrow(/internal:.*\[0,2\]/);
  });
});
