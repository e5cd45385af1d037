/**
 * A job's trainer as the server sees it: a process of its own, of low priority, which works in the job's directory. It
 * also ends when the server ends, even if the server is killed. `src/cli/train/job-process.ts` is its entry.
 */
import { fork } from "node:child_process";
import { setPriority } from "node:os";
import { fromWire } from "../errors.ts";
import type { TrainerNews, TrainerOrder } from "./trainer-messages.ts";

export type TrainerStep = Extract<TrainerNews, { type: "step" }>;
export type TrainerResult = Extract<TrainerNews, { type: "done" }>;

export interface RunningTrainer {
  /** @throws {AppError} why the training failed. @throws {TrainerDied} where the process ended without saying why. */
  readonly ended: Promise<TrainerResult>;
  /** Asks it to save its state and end. */
  stop(): void;
  /** Ends it at once. */
  kill(): void;
}

/** A process that was killed, or crashed. */
export class TrainerDied extends Error {}

/** Characters of its error output that are kept. */
const MAX_STDERR = 4000;

export interface TrainerProgram {
  readonly entry: URL;
  /** Niceness, 0…19. */
  readonly nice: number;
}

/** @param dir where it works @param args of `mosara train` */
export function startTrainer(
  { entry, nice }: TrainerProgram,
  dir: string,
  args: readonly string[],
  onStep: (step: TrainerStep) => void,
): RunningTrainer {
  const child = fork(entry, [], { cwd: dir, stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
  let errors = "";
  child.stderr?.on("data", (data: Buffer) => (errors = (errors + data.toString()).slice(-MAX_STDERR)));
  if (child.pid !== undefined) setPriority(child.pid, nice);
  const ended = new Promise<TrainerResult>((resolve, reject) => {
    child.on("message", (news: TrainerNews) => {
      if (news.type === "step") onStep(news);
      else if (news.type === "done") resolve(news);
      else reject(fromWire(news.error));
    });
    child.on("error", reject);
    // If the result came before, this rejection has no effect.
    child.on("close", (code, signal) =>
      reject(
        new TrainerDied(`The training process ended (${signal ?? `exit code ${code}`}). ${lastLine(errors)}`.trim()),
      ),
    );
  });
  ended.catch(() => {}); // the caller receives the error where it waits
  const order: TrainerOrder = { args };
  child.send(order);
  return { ended, stop: () => void child.kill("SIGTERM"), kill: () => void child.kill("SIGKILL") };
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
