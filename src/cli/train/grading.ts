/** The grader of a run with rewards: an object in a file, or a program of the user's. */
import { readFile } from "node:fs/promises";
import { lineError } from "../../data/lines.ts";
import type { RewardPrompt } from "../../data/reward-prompts.ts";
import { AppError } from "../../errors.ts";
import { type Grader, compileGrader } from "../../graders/grader.ts";
import type { TrainConfig } from "./flags.ts";
import { startGraderProgram } from "./grader-program.ts";

/** An answer of the model, and the prompt that it answers. */
export interface Answer {
  readonly prompt: RewardPrompt;
  readonly text: string;
}

export interface Grading extends AsyncDisposable {
  /** The object as JSON, or the command. */
  readonly description: string;
  /**
   * Rewards, finite, in the order of the answers. @throws {AppError} data_invalid naming file and line, training_failed
   */
  grade(answers: readonly Answer[]): Promise<readonly number[]>;
}

/** @returns null for another objective @throws {AppError} usage */
export async function openGrading({ grader: path, graderProgram: command }: TrainConfig): Promise<Grading | null> {
  if (command !== null) return startGraderProgram(command);
  if (path === null) return null;
  const { value, grader } = await readGrader(path);
  return {
    description: JSON.stringify(value),
    grade: async (answers) => answers.map(({ prompt, text }) => gradeOne(grader, prompt, text)),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Grades an empty answer to each prompt, so that a field that the grader misses is reported before the first step. */
export async function assertGradable(grading: Grading, prompts: readonly RewardPrompt[]): Promise<void> {
  await grading.grade(prompts.map((prompt) => ({ prompt, text: "" })));
}

async function readGrader(path: string): Promise<{ readonly value: unknown; readonly grader: Grader }> {
  const refuse = (reason: string, cause: unknown): never => {
    throw new AppError("usage", `--grader ${path}: ${reason}`, { cause });
  };
  const text = await readFile(path, "utf8").catch((cause: Error) =>
    refuse(`${cause.message}. Name a JSON file.`, cause),
  );
  try {
    const value: unknown = JSON.parse(text);
    return { value, grader: compileGrader(value) };
  } catch (cause) {
    return refuse((cause as Error).message, cause);
  }
}

function gradeOne(grader: Grader, { item, file, line }: RewardPrompt, text: string): number {
  try {
    return grader({ item, text });
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "data_invalid") throw error;
    throw lineError(file, line, error.message, error);
  }
}
