/** The reason why a job failed, as its tenant sees it. */
import { AppError } from "../errors.ts";
import type { JobError } from "./records.ts";
import { VALIDATION_FILE } from "./train-arguments.ts";
import { TrainerDied } from "./trainer-child.ts";

/** Faults of the data are OpenAI's `invalid_training_file`, with the field that named the file. */
export function jobErrorOf(error: unknown): JobError {
  if (error instanceof TrainerDied) return { code: "training_failed", message: error.message, param: null };
  if (!(error instanceof AppError)) return { code: "internal_error", message: "internal error", param: null };
  const { code, message, details } = error;
  if (code !== "data_invalid") return { code, message, param: null };
  const isValidation = details.param === "validation_file" || message.includes(VALIDATION_FILE);
  return { code: "invalid_training_file", message, param: isValidation ? "validation_file" : "training_file" };
}
