/**
 * Training progress: a bar with loss, tokens/s and time left on a terminal, a plain line every few seconds elsewhere.
 */
import type { EvaluationLine, StepLine } from "../../train/step-log.ts";
import { Progress, type ProgressOutput } from "../shared/progress.ts";

/** Weight of the newest step in the displayed rates; about the last twenty steps count. */
const NEWEST = 0.1;

export class TrainProgress {
  readonly #progress: Progress;
  readonly #steps: number;
  readonly #now: () => number;
  #lastAt: number;
  #secondsPerStep: number | null = null;
  #tokensPerSecond: number | null = null;
  #held: string | null = null;

  /** @param steps of the whole run */
  constructor(steps: number, output?: ProgressOutput, now: () => number = () => performance.now()) {
    this.#progress = new Progress(output, now);
    this.#steps = steps;
    this.#now = now;
    this.#lastAt = now();
  }

  /** Shows one more line of the step log. */
  update(line: StepLine | EvaluationLine): void {
    if ("evalLoss" in line) return void (this.#held = scoreOf(line, line.evalLoss));
    const now = this.#now();
    // This time includes evaluations and saves.
    this.#secondsPerStep = smoothed(this.#secondsPerStep, (now - this.#lastAt) / 1000);
    this.#tokensPerSecond = smoothed(this.#tokensPerSecond, line.tokensPerSecond);
    this.#lastAt = now;
    const left = (this.#steps - line.step) * this.#secondsPerStep;
    const parts = [
      `step ${line.step} of ${this.#steps}`,
      `${line.reward === undefined ? "loss" : "reward"} ${scoreOf(line, line.loss)}`,
      ...(this.#held === null ? [] : [`eval ${this.#held}`]),
      `${Math.round(this.#tokensPerSecond)} tokens/s`,
      `${duration(left)} left`,
    ];
    this.#progress.update("training", line.step / this.#steps, parts.join(", "));
  }

  /** Leaves the bar on its line. */
  end(): void {
    this.#progress.end();
  }
}

/** The reward, if the run has rewards. The loss of such a run is near 0 whatever the model learns. */
const scoreOf = ({ reward }: StepLine | EvaluationLine, loss: number): string => (reward ?? loss).toFixed(3);

function smoothed(mean: number | null, value: number): number {
  return mean === null ? value : mean + NEWEST * (value - mean);
}

/** `1:02:03`, `2:03`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
