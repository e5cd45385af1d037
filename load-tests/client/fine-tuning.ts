/** Training jobs of an OpenAI server, over HTTP: what a load test needs of `/v1/files` and `/v1/fine_tuning/jobs`. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Job {
  readonly id: string;
  readonly status: string;
  readonly fine_tuned_model: string | null;
  readonly trained_tokens: number | null;
  readonly result_files: readonly string[];
  readonly error: { readonly message: string } | null;
  readonly mosara: { readonly step: number };
}

/** Whether the job will not change any more. */
export const hasEnded = ({ status }: Job): boolean => ["succeeded", "failed", "cancelled"].includes(status);

/** @throws {Error} with what the server says */
async function answerOf(response: Response): Promise<string> {
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(`${response.url} answered ${response.status}: ${text}`);
}

/** @returns the id of the file */
export async function uploadLines(url: string, lines: readonly string[]): Promise<string> {
  const body = new FormData();
  body.set("purpose", "fine-tune");
  body.set("file", new File([lines.join("\n")], "train.jsonl"));
  const text = await answerOf(await fetch(`${url}/v1/files`, { method: "POST", body }));
  return (JSON.parse(text) as { id: string }).id;
}

/** @param body of POST /v1/fine_tuning/jobs */
export async function createJob(url: string, body: object): Promise<Job> {
  const headers = { "content-type": "application/json" };
  const sent = { method: "POST", headers, body: JSON.stringify(body) };
  return JSON.parse(await answerOf(await fetch(`${url}/v1/fine_tuning/jobs`, sent))) as Job;
}

export async function getJob(url: string, id: string): Promise<Job> {
  return JSON.parse(await answerOf(await fetch(`${url}/v1/fine_tuning/jobs/${id}`))) as Job;
}

const change =
  (name: string) =>
  async (url: string, id: string): Promise<Job> =>
    JSON.parse(await answerOf(await fetch(`${url}/v1/fine_tuning/jobs/${id}/${name}`, { method: "POST" }))) as Job;

export const pauseJob = change("pause");
export const resumeJob = change("resume");

/** @returns the job as soon as `isReached` accepts it. @throws {Error} where it has failed */
export async function untilJob(url: string, id: string, isReached: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = await getJob(url, id);
    if (job.status === "failed") throw new Error(`the job ${id} failed: ${job.error?.message}`);
    if (isReached(job)) return job;
    await sleep(20);
  }
}

/** Everything of a finished job that must not depend on how often it was killed: equal texts mean equal bytes. */
export async function resultOf(url: string, job: Job): Promise<string> {
  const adapter = await answerOf(await fetch(`${url}/v1/adapters/${job.fine_tuned_model}`));
  const { generation } = JSON.parse(adapter) as { generation: string };
  const table = await answerOf(await fetch(`${url}/v1/files/${job.result_files[0]}/content`));
  return JSON.stringify({ generation, tokens: job.trained_tokens, table });
}
