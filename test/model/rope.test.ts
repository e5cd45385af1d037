/**
 * Rotary tables against another way to say the same: e^{iθp} turned step by step, and llama3's three bands by their
 * limits.
 */
import { describe, expect, it } from "vitest";
import type { RopeConfig, RopeScaling } from "../../src/model/config/model-config.ts";
import { rotaryTables } from "../../src/model/rope.ts";
import { expectAllclose } from "../helpers/allclose.ts";

const NUM_POSITIONS = 200;

/** Frequencies as wavelengths: pair i turns once every 2π·θ^(i/half) positions. */
function wavelengths(theta: number, dim: number): number[] {
  return Array.from({ length: dim / 2 }, (_, i) => 2 * Math.PI * Math.exp((Math.log(theta) * i) / (dim / 2)));
}

/**
 * llama3: wavelengths up to `original/high` stay, from `original/low` on are `factor` times as long, between them
 * frequencies mix linearly in original/wavelength.
 */
function stretched(wavelength: number, scaling: RopeScaling): number {
  if (scaling.type === "default") return wavelength;
  if (scaling.type === "linear") return wavelength * scaling.factor;
  if (scaling.type !== "llama3") throw new Error("no other way to say this one here");
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: original } = scaling;
  const share = Math.min(1, Math.max(0, (original / wavelength - low) / (high - low)));
  return 1 / (share / wavelength + (1 - share) / (wavelength * factor));
}

/** cos and sin by repeated multiplication of complex numbers in float64. */
function turned(rope: RopeConfig, dim: number): { cos: Float32Array; sin: Float32Array } {
  const half = dim / 2;
  const cos = new Float32Array(NUM_POSITIONS * half);
  const sin = new Float32Array(NUM_POSITIONS * half);
  wavelengths(rope.theta, dim).forEach((wavelength, i) => {
    const angle = (2 * Math.PI) / stretched(wavelength, rope.scaling);
    let [re, im] = [1, 0];
    for (let position = 0; position < NUM_POSITIONS; position++) {
      cos[position * half + i] = re;
      sin[position * half + i] = im;
      [re, im] = [re * Math.cos(angle) - im * Math.sin(angle), re * Math.sin(angle) + im * Math.cos(angle)];
    }
  });
  return { cos, sin };
}

const llama3: RopeScaling = {
  type: "llama3",
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 64,
};

describe.each<[string, RopeConfig]>([
  ["default", { theta: 10_000, rotaryDim: 0, scaling: { type: "default" } }],
  ["linear", { theta: 10_000, rotaryDim: 0, scaling: { type: "linear", factor: 2.5 } }],
  ["llama3", { theta: 500_000, rotaryDim: 0, scaling: llama3 }],
])("%s tables", (_, rope) => {
  it.each([8, 20, 64])("of %i values a head are the turning of every pair", (dim) => {
    const got = rotaryTables({ ...rope, rotaryDim: dim }, NUM_POSITIONS);
    const expected = turned(rope, dim);
    // Angles up to 200 in float32 are off by 1e-5.
    expectAllclose(got.cos, expected.cos, { atol: 3e-5 }, "cos");
    expectAllclose(got.sin, expected.sin, { atol: 3e-5 }, "sin");
  });
});

it("uses all three bands of llama3 in the case above", () => {
  const bands = wavelengths(500_000, 64).map((wavelength) => {
    const ratio = stretched(wavelength, llama3) / wavelength;
    return ratio < 1.0001 ? "short" : ratio > 7.9999 ? "long" : "between";
  });
  expect(new Set(bands)).toEqual(new Set(["short", "between", "long"]));
});
