import { describe, expect, it } from "vitest";
import { expOfNegative } from "../../../src/engine/sampling/exp.ts";

describe("expOfNegative", () => {
  it("agrees with Math.exp over its whole range, and is exact at 0", () => {
    expect(expOfNegative(0)).toBe(1);
    let worst = 0;
    for (let x = -1e-9; x > -708; x = x * 1.0003 - 1e-5)
      worst = Math.max(worst, Math.abs(expOfNegative(x) / Math.exp(x) - 1));
    expect(worst).toBeLessThan(1e-13);
  });

  it("is 0 where nothing is left", () => {
    expect([-709, -1e9, -Infinity].map(expOfNegative)).toEqual([0, 0, 0]);
  });
});
