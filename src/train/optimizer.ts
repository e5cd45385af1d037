/**
 * AdamW with clipping by the global norm, over flat buffers. Arithmetic is in double precision, state in float32. Two
 * things make one learning rate fit every model. Each number may have its own unit. A step is shortened where it
 * promises to remove more than a given share of the current loss. Sources: AdamW: Loshchilov and Hutter, arXiv
 * 1711.05101; order of decay, bias correction and epsilon as in the training fixtures' README §1. The bound is Polyak's
 * step size with momentum: Schaipp et al., arXiv 2305.07583. Indices are bounded by their loops, hence `!`.
 */

const [BETA1, BETA2] = [0.9, 0.999];
const EPSILON = 1e-8;
/** Added to the norm that clipping divides by, as torch does. */
const NORM_EPSILON = 1e-6;

export interface StepSizes {
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Largest global norm of the gradients; null: no clipping. */
  readonly clip: number | null;
  /** Largest share of the loss that a step may promise to remove; null: no bound. */
  readonly trust: number | null;
}

/** The step's loss and gradients. */
export interface StepGradients {
  readonly loss: number;
  readonly gradients: Float32Array;
  /** Norm of `gradients`, from `norm`. */
  readonly norm: number;
}

export class AdamW {
  /** Running means of the gradients and of their squares. A resumed run writes them. */
  readonly first: Float32Array;
  readonly second: Float32Array;
  /** The unit of every number: its gradient, moments and step are multiples of it. null: all units are 1. */
  readonly #units: Float32Array | null;

  /** @param units one unit for each value */
  constructor(length: number, units: Float32Array | null = null) {
    if (units !== null && units.length !== length)
      throw new Error(`internal: ${units.length} units for ${length} values`);
    this.#units = units;
    this.first = new Float32Array(length);
    this.second = new Float32Array(length);
  }

  /** L2 norm of all gradients together, each multiplied by its number's unit. */
  norm(gradients: Float32Array): number {
    let sum = 0;
    for (let i = 0; i < gradients.length; i++) sum += (gradients[i]! * (this.#units?.[i] ?? 1)) ** 2;
    return Math.sqrt(sum);
  }

  /**
   * Moves `values` by one step.
   * @param step counts from 0
   * @returns the learning rate of the step: the given one, or less where the step was shortened
   */
  update(values: Float32Array, { loss, gradients, norm }: StepGradients, step: number, sizes: StepSizes): number {
    const { weightDecay, clip, trust } = sizes;
    const clipping = clip === null ? 1 : Math.min(1, clip / (norm + NORM_EPSILON));
    this.#average(gradients, clipping);
    const promised = trust === null ? 0 : (sizes.learningRate * this.#promisePerRate(step)) / clipping;
    const bound = trust === null ? Infinity : trust * Math.max(0, loss); // a divergence of 0 may be rounded below it
    const held = promised <= bound ? 1 : bound / promised;
    const learningRate = sizes.learningRate * held;
    const decay = 1 - learningRate * weightDecay;
    const [meanScale, rootScale] = biasScales(step);
    const { first, second } = this;
    for (let i = 0; i < values.length; i++) {
      const move = (meanScale * first[i]!) / (Math.sqrt(second[i]!) * rootScale + EPSILON);
      values[i] = values[i]! * decay - learningRate * (this.#units?.[i] ?? 1) * move;
    }
    return learningRate;
  }

  #average(gradients: Float32Array, clipping: number): void {
    const { first, second } = this;
    for (let i = 0; i < gradients.length; i++) {
      const gradient = gradients[i]! * (this.#units?.[i] ?? 1) * clipping;
      first[i] = BETA1 * first[i]! + (1 - BETA1) * gradient;
      second[i] = BETA2 * second[i]! + (1 - BETA2) * gradient * gradient;
    }
  }

  /**
   * The fall of the loss for one unit of the learning rate, by linear extrapolation: the move times the mean gradient.
   * The mean is used, because the gradient of a single batch is valid for that batch only.
   */
  #promisePerRate(step: number): number {
    const { first, second } = this;
    const [meanScale, rootScale] = biasScales(step);
    let promise = 0;
    for (let i = 0; i < first.length; i++) {
      const mean = meanScale * first[i]!;
      promise += (mean * mean) / (Math.sqrt(second[i]!) * rootScale + EPSILON);
    }
    return promise;
  }
}

/** Bias corrections of the mean, and of the root of the mean square. @param step counts from 0 */
function biasScales(step: number): readonly [mean: number, root: number] {
  return [1 / (1 - BETA1 ** (step + 1)), 1 / Math.sqrt(1 - BETA2 ** (step + 1))];
}
