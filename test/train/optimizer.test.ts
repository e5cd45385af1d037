/**
 * The optimiser's units and its bound, on functions whose gradients are known. That its steps are PyTorch's is in
 * trajectories.test.ts.
 */
import { describe, expect, it } from "vitest";
import { AdamW, type StepSizes } from "../../src/train/optimizer.ts";

const sizes: StepSizes = { learningRate: 0.1, weightDecay: 0, clip: null, trust: null };
const step = (optimizer: AdamW, values: Float32Array, loss: number, gradients: Float32Array, at: number, of = sizes) =>
  optimizer.update(values, { loss, gradients, norm: optimizer.norm(gradients) }, at, { ...sizes, ...of });

describe("units", () => {
  it("scale each number's step", () => {
    const values = Float32Array.of(1, 1);
    step(new AdamW(2, Float32Array.of(1, 8)), values, 1, Float32Array.of(3, 3), 0);
    expect(1 - values[0]!).toBeCloseTo(0.1, 6);
    expect(1 - values[1]!).toBeCloseTo(0.8, 6);
  });

  it("make the steps of a scaled number those of the number itself, scaled", () => {
    // loss (w - 3)² with w = 64 s against the same loss in w directly: s must move by 1/64 of what w moves.
    const [direct, scaled] = [Float32Array.of(1), Float32Array.of(1 / 64)];
    const [ofDirect, ofScaled] = [new AdamW(1, Float32Array.of(1)), new AdamW(1, Float32Array.of(1 / 64))];
    for (let at = 0; at < 30; at++) {
      const gradientAt = (w: number): number => 2 * (w - 3);
      step(ofDirect, direct, (direct[0]! - 3) ** 2, Float32Array.of(gradientAt(direct[0]!)), at);
      const w = 64 * scaled[0]!;
      step(ofScaled, scaled, (w - 3) ** 2, Float32Array.of(64 * gradientAt(w)), at);
    }
    expect(64 * scaled[0]!).toBeCloseTo(direct[0]!, 5);
  });

  it("count in the norm, so that clipping means the same to numbers of every size", () => {
    expect(new AdamW(2).norm(Float32Array.of(3, 4))).toBe(5);
    expect(new AdamW(2, Float32Array.of(1, 1 / 64)).norm(Float32Array.of(3, 4 * 64))).toBe(5);
  });

  it("must be as many as the numbers", () => {
    expect(() => new AdamW(2, new Float32Array(3))).toThrow("internal: 3 units for 2 values");
  });
});

describe("the bound", () => {
  it("shortens the first step to the share of the loss that it may promise, whatever the rate", () => {
    const gradients = Float32Array.of(2, -1, 0.5); // a step promises the rate times their sum of magnitudes
    for (const learningRate of [0.1, 1, 1000]) {
      const values = new Float32Array(3);
      const rate = step(new AdamW(3), values, 0.5, gradients, 0, { ...sizes, learningRate, trust: 0.3 });
      const promised = -values.reduce((sum, value, i) => sum + value * gradients[i]!, 0);
      expect(rate).toBeCloseTo(0.15 / 3.5, 6);
      expect(promised).toBeCloseTo(0.15, 5);
    }
  });

  it("leaves a step alone that promises less, bit for bit", () => {
    const gradients = Float32Array.of(2, -1, 0.5);
    const [free, bound] = [new Float32Array(3), new Float32Array(3)];
    const one = step(new AdamW(3), free, 2, gradients, 0);
    const other = step(new AdamW(3), bound, 2, gradients, 0, { ...sizes, trust: 0.3 });
    expect(one).toBe(0.1);
    expect(other).toBe(0.1);
    expect(bound).toEqual(free);
  });

  it("counts a clipped gradient in full", () => {
    const gradients = Float32Array.of(30, 40);
    const values = new Float32Array(2);
    step(new AdamW(2), values, 1, gradients, 0, { ...sizes, clip: 1, trust: 0.3 });
    const promised = -values.reduce((sum, value, i) => sum + value * gradients[i]!, 0);
    expect(promised).toBeCloseTo(0.3, 4);
  });

  it("holds on a function with a thousand equal directions, where a step in all of them overshoots", () => {
    // loss = (Σw)²/2 at n = 1000: a step of 0.1 in every direction moves Σw by 100.
    const descend = (trust: number | null): number => {
      const optimizer = new AdamW(1000);
      const values = new Float32Array(1000).fill(0.01);
      let worst = 0;
      for (let at = 0; at < 50; at++) {
        const sum = values.reduce((total, value) => total + value, 0);
        if (at > 0) worst = Math.max(worst, (sum * sum) / 2);
        step(optimizer, values, (sum * sum) / 2, new Float32Array(1000).fill(sum), at, { ...sizes, trust });
      }
      return worst;
    };
    expect(descend(null)).toBeGreaterThan(1000);
    expect(descend(0.3)).toBeLessThan(50);
  });
});
