/** Diverged runs: the reason why a run whose loss has exploded ends, and advice for the next one. Pure. */
import { AppError } from "../errors.ts";
import type { Schedule } from "./schedule.ts";

/** A loss above this cannot have gradients of exactly 0, unlike the loss of perfect predictions. */
const LEARNED_LOSS = 1e-3;

/** Training cannot continue. An earlier state may be worth keeping. */
export class DivergedError extends AppError {
  /** The event and its step; ends with a full stop. */
  readonly reason: string;
  /** Advice for the next run. */
  readonly advice: string;

  /** @param kept a sentence that says where the run's best state is */
  constructor(reason: string, advice: string, kept = "Nothing was written.") {
    super("training_failed", `${reason} ${kept} ${advice}`);
    this.reason = reason;
    this.advice = advice;
  }
}

/** @param step counts from 0 @param trust the run's bound; null: none */
export function diverged(
  what: string,
  step: number,
  { peak, warmupSteps }: Schedule,
  trust: number | null,
): DivergedError {
  const lower = Number((peak / 3).toPrecision(2));
  const bound = trust === null ? "give --trust 0.3" : `lower --trust (${trust})`;
  return new DivergedError(
    `Training diverged at step ${step + 1}: ${what}.`,
    `Lower --lr (${peak}; try ${lower}), ${bound}, or raise --warmup (${warmupSteps} steps), and start again without --resume.`,
  );
}

/**
 * The reason why a step cannot be made, or null. Values far out of range do not always become NaN, because norms and
 * softmax bound them.
 */
export function faultOf(loss: number, gradNorm: number): string | null {
  if (!Number.isFinite(loss)) return `the loss became ${loss}`;
  if (!Number.isFinite(gradNorm)) return `the gradient's norm became ${gradNorm}`;
  return gradNorm === 0 && loss > LEARNED_LOSS ? `all gradients vanished at a loss of ${loss}` : null;
}
