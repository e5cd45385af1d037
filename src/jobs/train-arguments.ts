/**
 * The arguments of `mosara train` for a job. Names are relative to the job's directory, so that messages name no place.
 */
import type { JobRecord, JobSettings } from "./records.ts";

export const TRAINING_FILE = "training.jsonl";
export const VALIDATION_FILE = "validation.jsonl";
export const GRADER_FILE = "grader.json";
export const ADAPTER_FILE = "adapter.mosara";
/** Where the trainer keeps the states of steps; the number is the step. */
export const KEPT_FILE = /^adapter\.step-(\d+)\.mosara$/;
export const REPORT_FILE = "report.html";
export const STEP_LOG = `${ADAPTER_FILE}.log.jsonl`;

/** The rate of the trainer, which `learning_rate_multiplier` multiplies. */
export type DefaultRate = (settings: Pick<JobSettings, "method" | "objective">) => number;

/** The trainer's name of each objective. */
const OBJECTIVES = { supervised: "sft", dpo: "dpo", reinforcement: "reward" } as const;

/** Epochs whose last states are kept, that of the last epoch included. OpenAI keeps as many. */
const KEPT_EPOCHS = 3;
/** Steps between two saved states. A killed run computes at most this many steps again. */
const SAVE_EVERY = 20;

export interface TrainingPlace {
  readonly baseDir: string;
  readonly numThreads: number;
  readonly defaultRate: DefaultRate;
}

export function trainArguments(job: JobRecord, { baseDir, numThreads, defaultRate }: TrainingPlace): readonly string[] {
  const { objective, method, learningRateMultiplier, reinforcement, ...settings } = job.settings;
  const rate = learningRateMultiplier === null ? null : learningRateMultiplier * defaultRate(job.settings);
  const flags: readonly (readonly [string, string | number | null])[] = [
    ["--model", baseDir],
    ["--data", TRAINING_FILE],
    ["--out", ADAPTER_FILE],
    ["--report", REPORT_FILE],
    ["--method", method],
    ["--seed", job.seed],
    ["--threads", numThreads],
    ["--save-every", SAVE_EVERY],
    ["--keep-epochs", KEPT_EPOCHS],
    ["--objective", OBJECTIVES[objective]],
    ["--grader", reinforcement === undefined ? null : GRADER_FILE],
    ["--eval-every", reinforcement?.evalEvery ?? null],
    ["--group-size", reinforcement?.groupSize ?? null],
    ["--max-answer-tokens", reinforcement?.maxAnswerTokens ?? null],
    ["--beta", settings.beta],
    ["--epochs", settings.epochs],
    ["--steps", settings.steps],
    ["--batch-size", settings.batchSize],
    ["--lr", rate],
    ["--heads", settings.heads],
    ["--rank", settings.rank],
    ["--targets", settings.targets],
    ["--threshold", settings.threshold],
    ["--max-length", settings.maxLength],
    ["--eval", job.validationFile === null ? null : VALIDATION_FILE],
  ];
  return [...flags.flatMap(([flag, value]) => (value === null ? [] : [flag, String(value)])), "--resume", "--json"];
}
