/**
 * The step log as a TensorBoard event file, written line by line while a run goes. Tags are those of Hugging Face's
 * Trainer: `train/loss`, `train/learning_rate`, `eval/loss`. A resumed run begins a file of its own.
 */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { type Scalars, scalarsEvent, startEvent, versionEvent } from "../formats/tensorboard-event.ts";
import type { EvaluationLine, StepLine } from "../train/step-log.ts";

/** Names in TensorBoard that differ from those of the step log. */
const TAGS: Readonly<Record<string, string>> = {
  evalLoss: "loss",
  lr: "learning_rate",
  gradNorm: "grad_norm",
  tokensPerSecond: "tokens_per_second",
};

export class TensorboardLog implements Disposable {
  readonly #path: string;
  readonly #file: number;
  readonly #now: () => number;

  /**
   * @param step steps done before this process
   * @param now the clock, in milliseconds
   * @throws {AppError} usage where the directory cannot be written
   */
  constructor(dir: string, step: number, now: () => number = Date.now) {
    this.#now = now;
    // TensorBoard reads files of a directory in the order of their names, which begin with the time.
    const seconds = String(Math.floor(now() / 1000)).padStart(10, "0");
    this.#path = join(dir, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}`);
    try {
      mkdirSync(dir, { recursive: true });
      this.#file = openSync(this.#path, "a");
    } catch (cause) {
      throw new AppError(
        "usage",
        `--tensorboard ${dir} cannot be written: ${(cause as Error).message}. Name another directory.`,
        { cause },
      );
    }
    this.#write(versionEvent(this.#seconds()));
    this.#write(startEvent(this.#seconds(), step === 0 ? 0 : step + 1)); // step 0 is the evaluation of the base
  }

  /** @throws {AppError} training_failed, for example for a full disk */
  append(line: StepLine | EvaluationLine): void {
    this.#write(scalarsEvent(this.#seconds(), line.step, scalarsOf(line)));
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #seconds(): number {
    return this.#now() / 1000;
  }

  #write(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
    } catch (cause) {
      throw new AppError(
        "training_failed",
        `${this.#path} could not be written: ${(cause as Error).message}. The earlier checkpoint is intact. Make room and continue with --resume.`,
        { cause },
      );
    }
  }
}

/** Every number of a line but its step, under its tag. */
function scalarsOf(line: StepLine | EvaluationLine): Scalars {
  const use = "evalLoss" in line ? "eval" : "train";
  const { step: _, ...values } = line;
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`${use}/${TAGS[key] ?? key}`, value as number]),
  );
}
