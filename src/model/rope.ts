/** Rotary tables: cosine and sine of position × frequency. Source: RoFormer (arXiv 2104.09864); llama3 scaling as transformers computes it. */
import type { RopeConfig } from "./model-config.ts";

/** Angular frequencies of the `rotaryDim / 2` pairs, after scaling. */
function frequencies(rope: RopeConfig, rotaryDim: number): Float64Array {
  const { scaling, theta } = rope;
  return Float64Array.from({ length: rotaryDim / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / rotaryDim);
    if (scaling.type === "default") return frequency;
    if (scaling.type === "linear") return frequency / scaling.factor;
    return llama3Frequency(frequency, scaling);
  });
}

/** Long wavelengths are stretched by the factor, short ones stay, the band between is interpolated. */
function llama3Frequency(frequency: number, scaling: RopeConfig["scaling"] & { type: "llama3" }): number {
  const wavelength = (2 * Math.PI) / frequency;
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = scaling;
  if (wavelength < originalMaxPositions / highFrequencyFactor) return frequency;
  if (wavelength > originalMaxPositions / lowFrequencyFactor) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** Tables of `numPositions` rows and `rotaryDim / 2` columns. @returns float32 [numPositions, rotaryDim/2] each */
export function rotaryTables(
  rope: RopeConfig,
  rotaryDim: number,
  numPositions: number,
): { cos: Float32Array; sin: Float32Array } {
  const half = rotaryDim / 2;
  const cos = new Float32Array(numPositions * half);
  const sin = new Float32Array(numPositions * half);
  const angularFrequencies = frequencies(rope, rotaryDim);
  for (let position = 0; position < numPositions; position++)
    for (let i = 0; i < half; i++) {
      // transformers rounds the frequency to float32 and multiplies in float32: far positions differ visibly otherwise.
      const angle = Math.fround(position * Math.fround(angularFrequencies[i] ?? 0));
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  return { cos, sin };
}
