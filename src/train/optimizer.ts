/**
 * AdamW with clipping by the global norm, over flat buffers. Arithmetic is in double precision, state in float32.
 * Source: Loshchilov and Hutter, arXiv 1711.05101; order of decay, bias correction and epsilon as in the training fixtures' README §1.
 * Indices are bounded by their loops, hence `!`.
 */

const [BETA1, BETA2] = [0.9, 0.999];
const EPSILON = 1e-8;
/** Added to the norm that clipping divides by, as torch does. */
const NORM_EPSILON = 1e-6;

export interface StepSizes {
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Largest global norm of the gradients; null: they are taken as they are. */
  readonly clip: number | null;
}

/** L2 norm of all values together. */
export function globalNorm(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return Math.sqrt(sum);
}

export class AdamW {
  /** Running means of the gradients and of their squares; written by whoever resumes a run. */
  readonly first: Float32Array;
  readonly second: Float32Array;

  constructor(length: number) {
    this.first = new Float32Array(length);
    this.second = new Float32Array(length);
  }

  /**
   * Moves `values` by one step.
   * @param step counts from 0 @param norm of `gradients`, as `globalNorm` gives it
   */
  update(values: Float32Array, gradients: Float32Array, step: number, norm: number, sizes: StepSizes): void {
    const { first, second } = this;
    const { learningRate, weightDecay, clip } = sizes;
    const scale = clip === null ? 1 : Math.min(1, clip / (norm + NORM_EPSILON));
    const decay = 1 - learningRate * weightDecay;
    const rate = learningRate / (1 - BETA1 ** (step + 1));
    const secondScale = 1 / Math.sqrt(1 - BETA2 ** (step + 1));
    for (let i = 0; i < values.length; i++) {
      const gradient = gradients[i]! * scale;
      const mean = BETA1 * first[i]! + (1 - BETA1) * gradient;
      const square = BETA2 * second[i]! + (1 - BETA2) * gradient * gradient;
      first[i] = mean;
      second[i] = square;
      values[i] = values[i]! * decay - (rate * mean) / (Math.sqrt(square) * secondScale + EPSILON);
    }
  }
}
