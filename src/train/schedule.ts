/**
 * The learning rate of every step: linear warm-up, then a cosine to a floor. Pure. Source: the training fixtures'
 * README §1.
 */

export interface Schedule {
  readonly peak: number;
  /** Number of steps in the run. */
  readonly steps: number;
  /** Number of warm-up steps. The last of them is the first step at the peak. */
  readonly warmupSteps: number;
  /** The last step's rate as a share of the peak, 0…1. */
  readonly floor: number;
}

/** @param step counts from 0 */
export function learningRateAt({ peak, steps, warmupSteps, floor }: Schedule, step: number): number {
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  const progress = (step - warmupSteps + 1) / (steps - warmupSteps);
  return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}

/** Steps of `--warmup`: below 1 a share of all steps, otherwise a number of steps. Never more than the run has. */
export function warmupSteps(warmup: number, steps: number): number {
  return Math.min(steps, Math.round(warmup < 1 ? warmup * steps : warmup));
}
