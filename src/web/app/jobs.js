/** Training jobs of the caller's tenant: the list, changes, and a job's events as they come. */
import { ApiError, call } from "./api.js";
import { eventsOf } from "./stream.js";

/**
 * @typedef {"validating_files" | "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled"} JobState
 * @typedef {{id: string, status: JobState, model: string, created_at: number, fine_tuned_model: string | null,
 *   trained_tokens: number | null, user_provided_suffix: string | null, method: {type: string},
 *   error: {code: string, message: string} | null,
 *   mosara: {method: "mo-sara" | "sara" | "lora", step: number, total_steps: number | null}}} Job
 * @typedef {{step_number: number, fine_tuned_model_checkpoint: string}} JobCheckpoint
 * @typedef {{id: string, type: "message" | "metrics", message: string, data: Record<string, number> | null}} JobEvent
 */

/** Jobs that the page shows. */
const MAX_JOBS = 50;

/** @param {Job} job */
export const hasEnded = ({ status }) => ["succeeded", "failed", "cancelled"].includes(status);

/**
 * The tenant's newest jobs.
 * @returns {Promise<Job[]>}
 */
export async function getJobs() {
  const { data } = await (await call(`v1/fine_tuning/jobs?limit=${MAX_JOBS}`)).json();
  return data;
}

/**
 * @param {string} id
 * @param {"pause" | "resume" | "cancel"} change
 * @returns {Promise<Job>}
 */
export async function changeJob(id, change) {
  return await (await call(`v1/fine_tuning/jobs/${id}/${change}`, { method: "POST" })).json();
}

/**
 * The adapters of a job's earlier epochs, newest first. The result is not among them.
 * @param {string} id
 * @returns {Promise<JobCheckpoint[]>}
 */
export async function earlierStates(id) {
  const { data } = await (await call(`v1/fine_tuning/jobs/${id}/checkpoints`)).json();
  return data.slice(1);
}

/**
 * All events of a job from its first, until it has ended.
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<JobEvent, void, void>}
 * @throws {ApiError} also when the connection breaks
 */
export async function* jobEvents(id, signal) {
  const response = await call(`v1/fine_tuning/jobs/${id}/events?stream=true`, { signal });
  for await (const data of eventsOf(response, signal)) {
    if (data === "[DONE]") return;
    yield JSON.parse(data);
  }
  throw new ApiError("The connection ended before the job did.");
}
