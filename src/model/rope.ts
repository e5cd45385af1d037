/**
 * Rotary tables: cosine and sine of position × frequency.
 * Source: RoFormer (arXiv 2104.09864), YaRN (arXiv 2309.00071), LongRoPE
 * (arXiv 2402.13753); the scalings as transformers computes them.
 */
import type { RopeConfig, RopeScaling } from "./config/model-config.ts";

/** Angular frequencies of the `rotaryDim / 2` pairs, after scaling. */
function frequencies({ theta, rotaryDim, scaling }: RopeConfig): Float64Array {
  const plain = Float64Array.from({ length: rotaryDim / 2 }, (_, i) => theta ** ((-2 * i) / rotaryDim));
  switch (scaling.type) {
    case "default":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
    case "yarn":
      return yarnFrequencies(plain, theta, rotaryDim, scaling);
    case "longrope":
      return plain.map((frequency, i) => frequency / (scaling.shortFactors[i] ?? Number.NaN));
  }
}

type Scaling<T extends RopeScaling["type"]> = RopeScaling & { readonly type: T };

/** Long wavelengths are stretched by the factor, short ones stay, and the band between is interpolated. */
function llama3Frequency(frequency: number, scaling: Scaling<"llama3">): number {
  const wavelength = (2 * Math.PI) / frequency;
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = scaling;
  if (wavelength < originalMaxPositions / highFrequencyFactor) return frequency;
  if (wavelength > originalMaxPositions / lowFrequencyFactor) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/**
 * Dimensions that rotate often keep their frequency. Dimensions that hardly rotate are stretched. A ramp lies between
 * them.
 */
function yarnFrequencies(
  plain: Float64Array,
  theta: number,
  rotaryDim: number,
  scaling: Scaling<"yarn">,
): Float64Array {
  const { factor, betaFast, betaSlow, originalMaxPositions, isTruncated } = scaling;
  const dimensionOf = (turns: number): number =>
    (rotaryDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [dimensionOf(betaFast), dimensionOf(betaSlow)];
  const low = Math.max(isTruncated ? Math.floor(first) : first, 0);
  const high = Math.min(isTruncated ? Math.ceil(last) : last, rotaryDim - 1);
  const width = high === low ? 0.001 : high - low;
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / width));
    return (frequency / factor) * stretched + frequency * (1 - stretched);
  });
}

/** Tables of `numPositions` rows and `rotaryDim / 2` columns. @returns float32 [numPositions, rotaryDim/2] each */
export function rotaryTables(rope: RopeConfig, numPositions: number): { cos: Float32Array; sin: Float32Array } {
  const half = rope.rotaryDim / 2;
  const magnitude = "attentionFactor" in rope.scaling ? rope.scaling.attentionFactor : 1;
  const cos = new Float32Array(numPositions * half);
  const sin = new Float32Array(numPositions * half);
  const angularFrequencies = frequencies(rope);
  const { beta = 0, originalMaxPositions = numPositions } = rope.queryGrowth ?? {};
  for (let position = 0; position < numPositions; position++) {
    const size = magnitude * (1 + beta * Math.log(1 + Math.floor(position / originalMaxPositions)));
    for (let i = 0; i < half; i++) {
      // transformers rounds the frequency to float32 and multiplies in float32. Far positions would differ visibly
      // otherwise.
      const angle = Math.fround(position * Math.fround(angularFrequencies[i] ?? 0));
      cos[position * half + i] = Math.cos(angle) * size;
      sin[position * half + i] = Math.sin(angle) * size;
    }
  }
  return { cos, sin };
}
