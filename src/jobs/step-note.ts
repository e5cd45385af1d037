/** The facts about a trainer's step, or evaluation, that the job's record and events keep. */
import type { JobChange, NewEvent } from "./job-store.ts";
import type { JobRecord } from "./records.ts";
import type { TrainerStep } from "./trainer-child.ts";

/** Greatest number of events with figures of steps, and approximately that of evaluations. */
const MAX_METRIC_EVENTS = 200;

/** @returns null for a step that is noted already: a continued run computes those after its last saved state again */
export function noteOf(
  { step, totalSteps, loss, evalLoss, reward, tokens }: TrainerStep,
  job: Pick<JobRecord, "lastStep" | "lastEvaluation">,
): { readonly change: JobChange; readonly event: NewEvent | null } | null {
  const isEvaluation = evalLoss !== null;
  if (step <= (isEvaluation ? job.lastEvaluation : job.lastStep)) return null;
  const change: JobChange = isEvaluation
    ? { lastEvaluation: step }
    : ({ trainedTokens }) => ({ lastStep: step, totalSteps, trainedTokens: trainedTokens + tokens });
  const stride = Math.ceil(totalSteps / MAX_METRIC_EVENTS);
  const isDue = Math.floor(step / stride) !== Math.floor(job.lastEvaluation / stride) || step === totalSteps;
  if (!(isEvaluation ? isDue : step % stride === 0)) return { change, event: null };
  const name = `${isEvaluation ? "valid" : "train"}_${reward === null ? "loss" : "mean_reward"}`;
  const value = reward ?? evalLoss ?? loss ?? NaN;
  const message = `Step ${step}/${totalSteps}: ${name.replaceAll("_", " ")} ${value.toFixed(4)}`;
  const data = { step, total_steps: totalSteps, [name]: value };
  return { change, event: { level: "info", type: "metrics", message, data } };
}
