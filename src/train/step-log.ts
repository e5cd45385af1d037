/**
 * `<out>.log.jsonl`: one JSON object for each step and each evaluation.
 * It is written line by line, so that readers can follow a run.
 * A resumed run cuts it back to the saved step. Source: docs/reference/commands.md, `train`.
 */
import { closeSync, ftruncateSync, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import { AppError } from "../errors.ts";

/**
 * Means of preferences and of rewards, under TRL's names. The first four are means over pairs, only with preferences.
 * The reward of an answer is then β · (log π(answer) − log π_ref(answer)). Its accuracy is the share of pairs whose
 * chosen answer has the greater one. The others are those of `--objective reward`: the mean reward of answers, its mean
 * standard deviation in a group, the share of groups without any deviation, and the mean number of tokens of an answer.
 * The last two are the mean and the largest difference between a token's log-probabilities in the sampler and in the
 * trainer.
 */
export const REWARD_NAMES = [
  "rewards/chosen",
  "rewards/rejected",
  "rewards/accuracies",
  "rewards/margins",
  "reward",
  "reward_std",
  "frac_reward_zero_std",
  "completions/mean_length",
  "sampling/sampling_logp_difference/mean",
  "sampling/sampling_logp_difference/max",
] as const;
export type RewardName = (typeof REWARD_NAMES)[number];
export type RewardMeasures = Partial<Readonly<Record<RewardName, number>>>;

/** One training step; `step` counts from 1. */
export interface StepLine extends RewardMeasures {
  readonly step: number;
  readonly loss: number;
  readonly lr: number;
  /** Norm before clipping. */
  readonly gradNorm: number;
  /** Number of tokens that the model computed in this step, without padding. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

/** An evaluation after this many steps; 0 is the base. */
export interface EvaluationLine extends RewardMeasures {
  readonly step: number;
  readonly evalLoss: number;
}

export class StepLog implements Disposable {
  readonly path: string;
  readonly #file: number;
  #bytes: number;

  /** @param keepBytes bytes of an existing log to keep; the rest was never saved @throws {AppError} usage */
  constructor(path: string, keepBytes: number) {
    this.path = path;
    try {
      this.#file = openSync(path, "a+");
      const { size } = fstatSync(this.#file);
      this.#bytes = Math.min(size, keepBytes);
      ftruncateSync(this.#file, this.#bytes);
    } catch (cause) {
      throw new AppError("usage", `${path} cannot be written: ${(cause as Error).message}. Choose another --out.`, {
        cause,
      });
    }
  }

  /** Length of the log so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws {AppError} training_failed, for example for a full disk */
  append(line: StepLine | EvaluationLine): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
    } catch (cause) {
      throw new AppError(
        "training_failed",
        `${this.path} could not be written: ${(cause as Error).message}. The earlier checkpoint is intact. Make room and continue with --resume.`,
        { cause },
      );
    }
    this.#bytes += bytes.length;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

/** The lines of a log, in order, for reports. An incomplete last line is left out. */
export function readStepLog(path: string): readonly (StepLine | EvaluationLine)[] {
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as StepLine | EvaluationLine);
}
