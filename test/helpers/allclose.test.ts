import { describe, expect, it } from "vitest";
import { expectAllclose, maxAbsDifference } from "./allclose.ts";

describe("expectAllclose", () => {
  it("accepts differences up to the tolerance and refuses larger ones", () => {
    expectAllclose([1, 2.01], [1, 2], { atol: 0.011 });
    expectAllclose([1, 2.01], [1, 2], { rtolOfMax: 0.0051 });
    expect(() => expectAllclose([1, 2.01], [1, 2], { atol: 0.009 })).toThrow(/off by/);
    expect(() => expectAllclose([1], [1, 2], { atol: 9 })).toThrow(/length/);
  });

  it("never lets a later value hide a NaN", () => {
    expect(maxAbsDifference([NaN, 1], [0, 0])).toBeNaN();
    expect(() => expectAllclose([NaN, 1], [0, 0], { atol: 9 })).toThrow(/off by NaN/);
  });

  it("is not loosened by an infinity on either side", () => {
    expectAllclose([-Infinity, 1], [-Infinity, 1], { rtolOfMax: 1e-6 });
    expect(() => expectAllclose([-Infinity, 2], [-Infinity, 1], { rtolOfMax: 1e-6 })).toThrow(/off by 1/);
    expect(() => expectAllclose([Infinity], [1], { atol: 9 })).toThrow(/off by Infinity/);
  });
});
