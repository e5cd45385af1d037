/** The adapters of a job's earlier epochs, which become the tenant's beside the result. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { checkpointNameOf, type JobCheckpoint, type JobRecord } from "./records.ts";
import { stepScores } from "./result-files.ts";
import { KEPT_FILE } from "./train-arguments.ts";

interface Ports {
  /** @throws {AppError} */
  readonly publish: (job: JobRecord, name: string, file: Uint8Array) => Promise<void>;
  /** Called for a checkpoint without room, for example. The job has its result in any case. */
  readonly onRefused: (step: number, error: AppError) => Promise<unknown>;
}

/**
 * @param dir where the job's trainer worked
 * @param steps of the result, whose state is no checkpoint of its own
 * @returns those that were published, in the order of their steps
 */
export async function publishCheckpoints(
  job: JobRecord,
  dir: string,
  steps: number,
  { publish, onRefused }: Ports,
): Promise<readonly JobCheckpoint[]> {
  const kept = (await readdir(dir)).flatMap((file) => {
    const step = KEPT_FILE.exec(file)?.[1];
    return step === undefined || Number(step) === steps ? [] : [{ file, step: Number(step) }];
  });
  const scoresOf = await stepScores(dir);
  const published: JobCheckpoint[] = [];
  for (const { file, step } of kept.sort((a, b) => a.step - b.step)) {
    const adapterName = checkpointNameOf(job, step);
    try {
      await publish(job, adapterName, await readFile(join(dir, file)));
      published.push({ step, adapterName, scores: scoresOf(step) });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      await onRefused(step, error);
    }
  }
  return published;
}
