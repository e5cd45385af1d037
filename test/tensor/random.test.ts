import { describe, expect, it } from "vitest";
import { nextUint32, nextUniform, seedRandom } from "../../src/tensor/random.ts";

describe("the random stream", () => {
  it("is xoshiro128**: the reference implementation's words from the state 1, 2, 3, 4", () => {
    const state = Uint32Array.of(1, 2, 3, 4);
    const words = Array.from({ length: 10 }, () => nextUint32(state));
    expect(words).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  it("gives the same numbers for the same seed and others for a neighbour", () => {
    const draws = (seed: number) => {
      const state = seedRandom(seed);
      return Array.from({ length: 20 }, () => nextUniform(state));
    };
    expect(draws(7)).toEqual(draws(7));
    expect(draws(7).filter((draw) => draws(8).includes(draw))).toEqual([]);
  });

  it("never starts from the all-zero state, whatever the seed", () => {
    for (const seed of [0, 1, 2 ** 31, 2 ** 32 - 1, -0x9e3779b9 >>> 0]) {
      expect(seedRandom(seed).filter((word) => word === 0).length).toBeLessThanOrEqual(1);
    }
  });

  it("is uniform in [0, 1), within a stream and over the first draws of consecutive seeds", () => {
    const chiSquare = (draw: () => number) => {
      const counts = Array.from({ length: 64 }, () => 0);
      for (let i = 0; i < 64_000; i++) counts[Math.floor(draw() * 64)]!++; // in range, since draws lie in [0, 1)
      return counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    };
    const state = seedRandom(1);
    let seed = 0;
    // 63 degrees of freedom: 0.1 % lie above 103.4.
    expect(chiSquare(() => nextUniform(state))).toBeLessThan(103.4);
    expect(chiSquare(() => nextUniform(seedRandom(seed++)))).toBeLessThan(103.4);
  });
});
