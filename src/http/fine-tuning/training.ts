/** The parts that the routes of files and jobs share: the server's trainer, and the caller's own files and jobs. */
import { AppError, quote } from "../../errors.ts";
import type { JobRunner } from "../../jobs/job-runner.ts";
import type { JobStore } from "../../jobs/job-store.ts";
import type { FileRecord, JobRecord } from "../../jobs/records.ts";
import type { AppContext, RequestContext } from "../context.ts";

/** The jobs of a server that trains. */
export interface Training {
  readonly store: JobStore;
  readonly runner: JobRunner;
}

/** @throws {AppError} training_disabled. */
export function trainingOf({ training }: AppContext): Training {
  if (training !== null) return training;
  throw new AppError("training_disabled", "This server runs no training jobs (--max-training-jobs 0).");
}

/** @throws {AppError} file_not_found, also for a file of another tenant. */
export function fileOf({ store }: Training, c: RequestContext, id: string, param: string): FileRecord {
  const found = store.file(c.get("tenant"), id);
  if (found) return found;
  throw new AppError("file_not_found", `There is no file ${quote(id)}. List them with GET /v1/files.`, { param });
}

/** The job that the path names. @throws {AppError} job_not_found, also for a job of another tenant. */
export function jobOf({ store }: Training, c: RequestContext): JobRecord {
  const id = c.req.param("id") ?? "";
  const found = store.job(c.get("tenant"), id);
  if (found) return found;
  const message = `There is no job ${quote(id)}. List them with GET /v1/fine_tuning/jobs.`;
  throw new AppError("job_not_found", message, { param: "fine_tuning_job_id" });
}
