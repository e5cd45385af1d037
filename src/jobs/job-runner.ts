/**
 * Runs jobs, with a bounded number of trainers at a time. Tenants take turns, and each tenant's jobs keep their order.
 * Every change is in the store before it takes effect. A job therefore continues after the server or its trainer was
 * killed, and its result is bit-identical.
 */
import { existsSync } from "node:fs";
import { copyFile, link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { AppError } from "../errors.ts";
import { type JobEvent, type JobRecord, isFinal, unixNow } from "./records.ts";
import { jobErrorOf } from "./job-error.ts";
import type { JobStore } from "./job-store.ts";
import { publishCheckpoints } from "./publish-checkpoints.ts";
import { resultFiles } from "./result-files.ts";
import { noteOf } from "./step-note.ts";
import {
  ADAPTER_FILE,
  GRADER_FILE,
  TRAINING_FILE,
  type TrainingPlace,
  VALIDATION_FILE,
  trainArguments,
} from "./train-arguments.ts";
import {
  type RunningTrainer,
  TrainerDied,
  type TrainerProgram,
  type TrainerResult,
  type TrainerStep,
  startTrainer,
} from "./trainer-child.ts";

/** Times that a trainer may die without a further step before its job fails. */
const MAX_DEATHS = 3;
/** Longest time that an ending server waits for trainers to save their state. */
const STOP_MS = 10_000;

export interface RunnerPorts {
  readonly store: JobStore;
  readonly log: Logger;
  readonly program: TrainerProgram;
  readonly place: TrainingPlace;
  /** @throws {AppError} usage: the trainer would refuse these arguments. */
  readonly check: (args: readonly string[]) => void;
  /** Makes an adapter of a job one of the tenant's. @throws {AppError} */
  readonly publish: (job: JobRecord, name: string, file: Uint8Array) => Promise<void>;
}

/** The reason for stopping a running trainer. */
type StopReason = "cancelled" | "paused" | "server";

interface Run {
  /** null: its files are being prepared. */
  trainer: RunningTrainer | null;
  stoppedFor: StopReason | null;
  readonly ended: Promise<void>;
}

export class JobRunner implements AsyncDisposable {
  readonly #ports: RunnerPorts;
  readonly #maxRunning: number;
  readonly #runs = new Map<string, Run>();
  /** When each tenant's last job was started: a counter. */
  readonly #lastTurns = new Map<string, number>();
  #numTurns = 0;
  /** For each job, the number of times that its trainer died without a step after `lastStep`. */
  readonly #deaths = new Map<string, { readonly count: number; readonly lastStep: number }>();
  #isStopping = false;

  /** @param maxRunning trainers at a time */
  constructor(ports: RunnerPorts, maxRunning: number) {
    this.#ports = ports;
    this.#maxRunning = maxRunning;
  }

  /** Continues what ran when the server last ended. */
  async start(): Promise<void> {
    const { store } = this.#ports;
    for (const job of store.allJobs())
      if (job.state === "running" || job.state === "validating_files") await store.update(job, { state: "queued" });
    this.#fill();
  }

  /**
   * Accepts a new job, whose record is complete. @param maxActive greatest number of its tenant's unfinished jobs
   * @throws {AppError} invalid_request: settings that contradict each other. quota_exceeded.
   */
  async submit(job: JobRecord, maxActive?: number): Promise<JobRecord> {
    const { store, check, place } = this.#ports;
    try {
      check(trainArguments(job, place));
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "usage") throw error;
      throw new AppError("invalid_request", `The trainer refuses these settings: ${error.message}`, {
        param: "mosara",
      });
    }
    await store.addJob(job, maxActive);
    await store.update(job, {}, said(`Created fine-tuning job: ${job.id}`));
    const queued = await store.update(job, { state: "queued" }, said("The job is queued"));
    this.#fill();
    return queued;
  }

  /** @throws {AppError} invalid_request: the job has ended. */
  async cancel(job: JobRecord): Promise<JobRecord> {
    if (isFinal(job.state)) throw wrongState(job, "cancelled");
    const { store } = this.#ports;
    const now = await this.#stop(job, "cancelled");
    if (isFinal(now.state)) return now; // it ended meanwhile
    const change = { state: "cancelled", finished: unixNow() } as const;
    const cancelled = await store.update(job, change, said("The job was cancelled"));
    await rm(store.runDirOf(job), { recursive: true, force: true });
    this.#fill();
    return cancelled;
  }

  /** @throws {AppError} invalid_request: the job has ended, or is paused. */
  async pause(job: JobRecord): Promise<JobRecord> {
    if (isFinal(job.state) || job.state === "paused") throw wrongState(job, "paused");
    const now = await this.#stop(job, "paused");
    if (isFinal(now.state)) return now;
    const paused = await this.#ports.store.update(job, { state: "paused" }, said("The job was paused"));
    this.#fill();
    return paused;
  }

  /** @throws {AppError} invalid_request: the job is not paused. */
  async resume(job: JobRecord): Promise<JobRecord> {
    if (job.state !== "paused") throw wrongState(job, "resumed");
    const queued = await this.#ports.store.update(job, { state: "queued" }, said("The job is queued again"));
    this.#fill();
    return queued;
  }

  /** Ends a job's trainer, if it has one. @returns the record afterwards */
  async #stop(job: JobRecord, reason: StopReason): Promise<JobRecord> {
    const run = this.#runs.get(job.id);
    if (run !== undefined) {
      run.stoppedFor = reason;
      if (reason === "cancelled") run.trainer?.kill();
      else run.trainer?.stop();
      await run.ended;
    }
    return this.#ports.store.job(job.tenant, job.id) ?? job;
  }

  /** Starts queued jobs while there is room for their trainers. */
  #fill(): void {
    while (!this.#isStopping && this.#runs.size < this.#maxRunning) {
      const job = this.#next();
      if (job === undefined) return;
      this.#lastTurns.set(job.tenant, ++this.#numTurns);
      const run = this.#begin(job);
      this.#runs.set(job.id, run);
    }
  }

  /** The oldest job of the tenant whose last turn is longest ago. */
  #next(): JobRecord | undefined {
    const queued = this.#ports.store.allJobs().filter(({ id, state }) => state === "queued" && !this.#runs.has(id));
    const turnOf = ({ tenant }: JobRecord): number => this.#lastTurns.get(tenant) ?? 0;
    return queued.reverse().sort((a, b) => turnOf(a) - turnOf(b))[0];
  }

  #begin(job: JobRecord): Run {
    const started = this.#prepare(job).then((args) => {
      run.trainer = startTrainer(this.#ports.program, this.#ports.store.runDirOf(job), args, (step) =>
        this.#noteStep(job, step),
      );
      if (run.stoppedFor !== null) run.trainer.kill();
      return run.trainer.ended;
    });
    const run: Run = {
      trainer: null,
      stoppedFor: null,
      ended: started
        .then((result) => this.#succeed(job, result))
        .catch((error: unknown) => this.#noteEnd(job, run, error))
        .finally(() => {
          this.#runs.delete(job.id);
          this.#fill();
        }),
    };
    return run;
  }

  /** Puts the files of a job into its directory. Deleting a file later does not stop the job. */
  async #prepare(job: JobRecord): Promise<readonly string[]> {
    const { store, place } = this.#ports;
    const dir = store.runDirOf(job);
    await mkdir(dir, { recursive: true });
    const files = [
      [job.trainingFile, TRAINING_FILE, "training_file"],
      [job.validationFile, VALIDATION_FILE, "validation_file"],
    ] as const;
    for (const [id, name, param] of files) {
      if (id === null) continue;
      const record = store.file(job.tenant, id);
      const target = join(dir, name);
      if (record !== undefined) {
        await rm(target, { force: true });
        await link(store.pathOf(record), target).catch(() => copyFile(store.pathOf(record), target));
      } else if (!existsSync(target))
        throw new AppError("data_invalid", `The file ${id} was deleted before the job began.`, { param });
    }
    const { reinforcement } = job.settings;
    if (reinforcement) await writeFile(join(dir, GRADER_FILE), JSON.stringify(reinforcement.grader));
    const message = job.lastStep === 0 ? "The job has started" : `The job continues after step ${job.lastStep}`;
    await store.update(job, { state: "running" }, said(message));
    return trainArguments(job, place);
  }

  #noteStep({ tenant, id }: JobRecord, step: TrainerStep): void {
    const { store, log } = this.#ports;
    const job = store.job(tenant, id);
    const note = job === undefined ? null : noteOf(step, job);
    if (job === undefined || note === null) return;
    store
      .update(job, note.change, note.event)
      .catch((error: unknown) => log.error({ err: error, job: id }, "a step of a job could not be recorded"));
  }

  async #succeed(job: JobRecord, { steps, trainLoss, evalLoss }: TrainerResult): Promise<void> {
    const { store, publish } = this.#ports;
    const dir = store.runDirOf(job);
    await publish(job, job.adapterName, await readFile(join(dir, ADAPTER_FILE)));
    const checkpoints = await publishCheckpoints(job, dir, steps, {
      publish,
      onRefused: (step, { message }) =>
        store.update(job, {}, said(`The checkpoint of step ${step} was not kept: ${message}`, "warn")),
    });
    const files: string[] = [];
    for (const { filename, content } of await resultFiles(dir, job))
      files.push((await store.addFile({ tenant: job.tenant, filename, purpose: "fine-tune-results" }, content)).id);
    await store.update(job, {}, said(`New fine-tuned model created: ${job.adapterName}`));
    const change = { finished: unixNow(), resultFiles: files, checkpoints, finalLoss: trainLoss, evalLoss };
    await store.update(job, { state: "succeeded", ...change }, said("The job has successfully completed"));
    await rm(dir, { recursive: true, force: true });
  }

  /** If a trainer was stopped, the code that stopped it also changes the job. */
  async #noteEnd(job: JobRecord, run: Run, error: unknown): Promise<void> {
    if (run.stoppedFor !== null) return;
    const { store, log } = this.#ports;
    try {
      if (error instanceof TrainerDied && this.#mayRetry(job)) {
        log.warn({ err: error, job: job.id, tenant: job.tenant }, "the trainer of a job died and is started again");
        const message = "The training process died. The job continues from its last saved state.";
        await store.update(job, { state: "queued" }, said(message, "warn"));
        return;
      }
      const failure = jobErrorOf(error);
      log.warn({ err: error, job: job.id, tenant: job.tenant }, "a training job failed");
      const change = { state: "failed", finished: unixNow(), error: failure } as const;
      await store.update(job, change, said(`The job failed: ${failure.message}`, "error"));
      await rm(store.runDirOf(job), { recursive: true, force: true });
    } catch (second) {
      log.error({ err: second, job: job.id }, "the end of a training job could not be recorded");
    }
  }

  #mayRetry({ tenant, id }: JobRecord): boolean {
    const { lastStep } = this.#ports.store.job(tenant, id) ?? { lastStep: 0 };
    const before = this.#deaths.get(id);
    const count = before?.lastStep === lastStep ? before.count + 1 : 1;
    this.#deaths.set(id, { count, lastStep });
    return count < MAX_DEATHS;
  }

  /** Lets the trainers save their state and end. Their jobs continue at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    const runs = [...this.#runs.values()];
    for (const run of runs) {
      run.stoppedFor = "server";
      run.trainer?.stop();
    }
    const timer = setTimeout(() => runs.forEach(({ trainer }) => trainer?.kill()), STOP_MS);
    await Promise.all(runs.map(({ ended }) => ended));
    clearTimeout(timer);
  }
}

const said = (message: string, level: JobEvent["level"] = "info") =>
  ({ level, type: "message", message, data: null }) as const;

function wrongState({ id, state }: JobRecord, wanted: string): AppError {
  return new AppError("invalid_request", `The job ${id} is ${state}, so it cannot be ${wanted}.`);
}
