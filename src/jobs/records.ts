/**
 * Training files and fine-tuning jobs as plain data, as they are stored. Knows nothing of HTTP, processes or disks.
 * Source of the states: OpenAI's fine-tuning API.
 */
import { randomBytes } from "node:crypto";
import type { ErrorCode } from "../errors.ts";

/** The purpose of a file. `fine-tune-results` are written by jobs. */
export type FilePurpose = "fine-tune" | "fine-tune-results";

export interface FileRecord {
  readonly id: string;
  readonly tenant: string;
  readonly filename: string;
  readonly purpose: FilePurpose;
  readonly bytes: number;
  /** Unix time in seconds. */
  readonly created: number;
}

export const JOB_STATES = [
  "validating_files",
  "queued",
  "running",
  "paused",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export type JobState = (typeof JOB_STATES)[number];

/** States that a job never leaves. */
const FINAL_STATES: readonly JobState[] = ["succeeded", "failed", "cancelled"];

export const isFinal = (state: JobState): boolean => FINAL_STATES.includes(state);

/** Why a job failed. */
export interface JobError {
  readonly code: ErrorCode | "invalid_training_file";
  readonly message: string;
  /** The field of the job that was at fault. */
  readonly param: "training_file" | "validation_file" | null;
}

/** How answers are sampled and graded. */
export interface ReinforcementSettings {
  /** As in the request, which was checked. */
  readonly grader: unknown;
  readonly evalEvery: number | null;
  readonly groupSize: number | null;
  readonly maxAnswerTokens: number | null;
}

/** The settings of a run, all given or left to the trainer. */
export interface JobSettings {
  readonly objective: "supervised" | "dpo" | "reinforcement";
  /** reinforcement only. */
  readonly reinforcement?: ReinforcementSettings;
  /** dpo only. */
  readonly beta: number | null;
  readonly method: "mo-sara" | "sara" | "lora";
  readonly epochs: number | null;
  readonly steps: number | null;
  readonly batchSize: number | null;
  /** Times the trainer's own rate. */
  readonly learningRateMultiplier: number | null;
  readonly heads: number | null;
  readonly rank: number | null;
  readonly targets: string | null;
  readonly threshold: number | null;
  readonly maxLength: number | null;
}

/** The state at the end of an epoch, as an adapter of its own. */
export interface JobCheckpoint {
  readonly step: number;
  readonly adapterName: string;
  /** Losses or rewards of the step, by OpenAI's names. */
  readonly scores: Readonly<Record<string, number>>;
}

export interface JobRecord {
  readonly id: string;
  readonly tenant: string;
  readonly state: JobState;
  /** Unix time in seconds. */
  readonly created: number;
  readonly finished: number | null;
  /** The served name of the base. */
  readonly model: string;
  readonly trainingFile: string;
  readonly validationFile: string | null;
  readonly suffix: string | null;
  readonly seed: number;
  readonly settings: JobSettings;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** Name of the adapter that the job makes. */
  readonly adapterName: string;
  /** The maximum number of adapters, and of their bytes, that the tenant may have; absent: no limit. */
  readonly quota: { readonly adapters?: number | undefined; readonly bytes?: number | undefined };
  readonly error: JobError | null;
  /** Ids of files with results. */
  readonly resultFiles: readonly string[];
  readonly trainedTokens: number;
  /** Steps that are noted in events. */
  readonly lastStep: number;
  /** The last evaluation that is noted; −1: none. */
  readonly lastEvaluation: number;
  readonly totalSteps: number | null;
  /** States before the final one that are adapters too, in order. Absent in records of version 0.1. */
  readonly checkpoints?: readonly JobCheckpoint[];
  /** Of the finished adapter. */
  readonly finalLoss: number | null;
  readonly evalLoss: number | null;
}

/** A fact about a job, in the order in which it was noted. */
export interface JobEvent {
  readonly id: string;
  readonly created: number;
  readonly level: "info" | "warn" | "error";
  readonly type: "message" | "metrics";
  readonly message: string;
  readonly data: Readonly<Record<string, number>> | null;
}

/** Number of parts of a millisecond that the ids of one process distinguish. */
const TICKS_PER_MS = 16;
let lastTick = 0;

/** A new id, such as `ftjob-…`. Ids of a prefix sort by age, since several entries are made within a second. */
export function newId(prefix: string): string {
  lastTick = Math.max(Date.now() * TICKS_PER_MS, lastTick + 1);
  return `${prefix}-${lastTick.toString(16).padStart(12, "0")}${randomBytes(6).toString("hex")}`;
}

export const unixNow = (): number => Math.floor(Date.now() / 1000);

/**
 * The name of a job's adapter, in OpenAI's form. The base's name may have characters that names of adapters may not
 * have, which become hyphens.
 */
export function adapterNameOf(job: Pick<JobRecord, "id" | "tenant" | "model" | "suffix">): string {
  const model = job.model.replaceAll(/[^A-Za-z0-9._-]/g, "-").slice(0, 40);
  return `ft:${model}:${job.tenant}:${job.suffix ?? ""}:${job.id.slice(-12)}`;
}

/** The name of the state at a step, in OpenAI's form. */
export function checkpointNameOf({ adapterName }: Pick<JobRecord, "adapterName">, step: number): string {
  return `${adapterName}:ckpt-step-${step}`;
}
