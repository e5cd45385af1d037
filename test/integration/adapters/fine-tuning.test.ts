/**
 * Fine-tuning over HTTP with the official client, on the demo: two tenants, a job from upload to answer, bad data,
 * pause, cancel, and processes killed in between.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { childrenOf, isAlive } from "../../helpers/processes.ts";
import { startServer, tempDir, type TestServer, until } from "../../helpers/server.ts";

type Job = OpenAI.FineTuning.FineTuningJob;

const FLAGS = ["--api-key", "acme=acme-secret-key", "--api-key", "globex=globex-secret-key"];
const data = tempDir();
let server: TestServer;
let acme: OpenAI;
let globex: OpenAI;
async function start(): Promise<void> {
  server = await startServer([...FLAGS, "--data", data, "--max-training-jobs", "2", "--training-nice", "0"]);
  [acme, globex] = ["acme", "globex"].map(
    (tenant) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: `${tenant}-secret-key`, maxRetries: 0 }),
  ) as [OpenAI, OpenAI];
}
beforeAll(start);
afterAll(() => server[Symbol.asyncDispose]());

const LINES = Array.from({ length: 24 }, (_, i) => JSON.stringify({ prompt: `Ping ${i}: `, completion: `pong ${i}.` }));
const upload = async (client: OpenAI, lines: readonly string[], name = "data.jsonl"): Promise<string> =>
  (await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), name), purpose: "fine-tune" })).id;

async function create(client: OpenAI, file: string, more: object = {}): Promise<Job> {
  const body = { model: "demo", training_file: file, seed: 3, suffix: "pong", mosara: { steps: 8 }, ...more };
  return await client.fineTuning.jobs.create(body);
}

const rewards = (grader: object) => ({
  method: { type: "reinforcement", reinforcement: { grader: { name: "g", ...grader }, hyperparameters: {} } },
});

const ended = (client: OpenAI, { id }: Job): Promise<Job> =>
  until(
    "the end of the job",
    () => client.fineTuning.jobs.retrieve(id),
    ({ status }) => ["succeeded", "failed", "cancelled"].includes(status),
  );
const generationOf = async (name: string | null): Promise<string> => {
  const response = await fetch(`${server.url}/v1/adapters/${name}`, {
    headers: { authorization: "Bearer acme-secret-key" },
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { generation: string }).generation;
};
/** Generations of the result and of its checkpoints. */
async function adaptersOf({ id }: Job): Promise<string[]> {
  const { data: checkpoints } = await acme.fineTuning.jobs.checkpoints.list(id);
  return await Promise.all(checkpoints.map((one) => generationOf(one.fine_tuned_model_checkpoint)));
}
/** The data of server-sent events. */
async function eventsOf({ id }: Job): Promise<string[]> {
  const response = await fetch(`${server.url}/v1/fine_tuning/jobs/${id}/events?stream=true`, {
    headers: { authorization: "Bearer acme-secret-key" },
  });
  return [...(await response.text()).matchAll(/^data: (.*)$/gm)].map(([, text = ""]) => text);
}
const step = async (job: Job): Promise<number> =>
  ((await acme.fineTuning.jobs.retrieve(job.id)) as unknown as { mosara: { step: number } }).mosara.step;

/** Trainers are processes, which take their time to start on a busy machine. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

describe("a fine-tuning job", () => {
  let file: string;
  let first: Job;

  it("goes from an upload to an adapter that answers", async () => {
    file = await upload(acme, LINES);
    const validation = await upload(acme, LINES.slice(0, 4), "held-out.jsonl");
    const metadata = { team: "a" };
    const job = await create(acme, file, { validation_file: validation, metadata });
    expect(job).toMatchObject({ status: "queued", fine_tuned_model: null, metadata, validation_file: validation });
    const streamed = await eventsOf(job);
    expect(streamed.at(-1)).toBe("[DONE]");
    first = await ended(acme, job);
    const model = `ft:demo:acme:pong:${job.id.slice(-12)}`;
    expect(first).toMatchObject({ status: "succeeded", fine_tuned_model: model, error: null, seed: 3 });
    expect(first.trained_tokens).toBeGreaterThan(100);

    const listed = [];
    for await (const event of acme.fineTuning.jobs.listEvents(job.id, { limit: 5 })) listed.push(event);
    expect(listed.map(({ id }) => id).reverse()).toEqual(
      streamed.slice(0, -1).map((text) => (JSON.parse(text) as { id: string }).id),
    );
    const steps = listed.flatMap(({ data: figures }) =>
      figures !== null && typeof figures === "object" && "train_loss" in figures ? [figures] : [],
    );
    expect(steps).toHaveLength(8);

    // The 24 lines are 3 steps of 8.
    const { data: checkpoints } = await acme.fineTuning.jobs.checkpoints.list(job.id);
    expect(checkpoints).toMatchObject([
      { fine_tuned_model_checkpoint: model, step_number: 8 },
      { fine_tuned_model_checkpoint: `${model}:ckpt-step-6`, step_number: 6, metrics: { step: 6 } },
      { fine_tuned_model_checkpoint: `${model}:ckpt-step-3`, step_number: 3, metrics: { step: 3 } },
    ]);
    expect(checkpoints[2]?.metrics).toMatchObject({
      train_loss: steps.find((figures) => "step" in figures && figures.step === 3)?.train_loss,
    });
    const [table, report] = await Promise.all(
      first.result_files.map(async (id) => await (await acme.files.content(id)).text()),
    );
    expect(table?.split("\n")[0]).toBe("step,train_loss,valid_loss,learning_rate,tokens");
    expect(report).toContain("<html");

    const answer = await acme.completions.create({ model, prompt: "Ping 3: ", max_tokens: 8 });
    expect(answer.model).toBe(model);
    expect((await acme.models.list()).data.map(({ id }) => id)).toContain(model);
    const early = checkpoints[2]?.fine_tuned_model_checkpoint ?? "";
    const earlier = await acme.completions.create({ model: early, prompt: "Ping 3: ", max_tokens: 8 });
    expect(earlier.model).toBe(early);
    expect(await generationOf(early)).not.toBe(await generationOf(model));
  });

  it("is nothing to another tenant", async () => {
    const model = first.fine_tuned_model ?? "";
    const refused = [
      () => globex.fineTuning.jobs.retrieve(first.id),
      () => globex.fineTuning.jobs.cancel(first.id),
      () => globex.fineTuning.jobs.listEvents(first.id),
      () => globex.fineTuning.jobs.checkpoints.list(first.id),
      () => globex.files.retrieve(file),
      () => globex.files.content(file),
      () => globex.files.delete(file),
      () => create(globex, file),
      () => globex.completions.create({ model, prompt: "a" }),
      () => globex.models.delete(model),
    ];
    for (const call of refused) await expect(call()).rejects.toMatchObject({ status: 404 });
    expect((await globex.fineTuning.jobs.list()).data).toEqual([]);
    expect((await globex.files.list()).data).toEqual([]);
    expect((await globex.models.list()).data.map(({ id }) => id)).not.toContain(model);
  });

  it("fails for bad data, with the line and the reason", async () => {
    const bad = await upload(acme, [...LINES.slice(0, 2), '{"prompt": "a"}']);
    const job = await ended(acme, await create(acme, bad));
    expect(job).toMatchObject({ status: "failed", error: { code: "invalid_training_file", param: "training_file" } });
    expect(job.error?.message).toMatch(/training\.jsonl.*3/);
    expect(job.error?.message).not.toContain(data);
  });

  it("fails before its first step where the memory does not suffice, with numbers", async () => {
    const completion = "one two three four ".repeat(150);
    const long = Array.from({ length: 400 }, () => JSON.stringify({ prompt: "Count: ", completion }));
    const batch = { hyperparameters: { batch_size: 400 } };
    const job = await ended(acme, await create(acme, await upload(acme, long), batch));
    expect(job).toMatchObject({ status: "failed", error: { code: "insufficient_memory", param: null } });
    expect(job.error?.message).toMatch(
      /needs about [\d.]+ GB of memory for batches of up to 400 × \d+ tokens, and [\d.]+ GB/,
    );
  });

  it("learns from preferences", async () => {
    const pairs = LINES.slice(0, 8).map((_, i) =>
      JSON.stringify({
        input: { messages: [{ role: "user", content: `Say ${i}` }] },
        preferred_output: [{ role: "assistant", content: "Yes." }],
        non_preferred_output: [{ role: "assistant", content: "Never." }],
      }),
    );
    const method = { type: "dpo", dpo: { hyperparameters: { beta: 0.2, batch_size: 2 } } };
    const job = await create(acme, await upload(acme, pairs), { method, mosara: { steps: 2 } });
    expect(await ended(acme, job)).toMatchObject({ status: "succeeded", error: null, method: { type: "dpo" } });
  });

  it("learns from rewards", async () => {
    const prompts = LINES.slice(0, 4).map((_, i) => JSON.stringify({ prompt: `Say ${i}: `, n: i }));
    const prompt = await upload(acme, prompts);
    const tens = { type: "string_check", name: "n", operation: "like", input: "{{ sample.output_text }}" };
    const { method } = rewards({ ...tens, reference: "{{ item.n }}" });
    const settings = { validation_file: prompt, method, mosara: { steps: 1, max_answer_tokens: 8 } };
    const job = await ended(acme, await create(acme, prompt, settings));
    expect(job).toMatchObject({ status: "succeeded", error: null, method: { type: "reinforcement" } });
    const events = (await eventsOf(job)).join();
    expect(events).toMatch(/train_mean_reward[\s\S]*valid_mean_reward/);
    const [table] = await Promise.all(job.result_files.map(async (id) => await (await acme.files.content(id)).text()));
    expect(table?.split("\n")[0]).toBe("step,train_mean_reward,valid_mean_reward,learning_rate,tokens");
  });

  it.each([
    ["an unknown model", { model: "nobody" }, 404, "model"],
    ["an adapter as the model", { model: "pirate" }, 400, "model"],
    ["an unknown file", { training_file: "file-0" }, 404, "training_file"],
    ["rewards without a grader", { method: { type: "reinforcement" } }, 400, "method.reinforcement.grader"],
    ["a grader that is a program", rewards({ type: "python", source: "" }), 400, "method.reinforcement.grader"],
    ["a rank for a method without one", { mosara: { rank: 4 } }, 400, "mosara"],
    ["a misspelt setting", { mosara: { step: 4 } }, 400, "mosara.step"],
    ["a suffix that is no name", { suffix: "a/b" }, 400, "suffix"],
  ])("is refused with %s", async (_, body, status, param) => {
    await expect(create(acme, file, body)).rejects.toMatchObject({ status, param });
  });

  it("ends with the same bytes after kills and a pause", async () => {
    const long = { suffix: "long", mosara: { steps: 30 } };
    const unbroken = await create(acme, file, long);
    const job = await create(acme, file, long);
    await until(
      "a saved state",
      () => step(job),
      (numSteps) => numSteps > 20,
    );
    const trainers = childrenOf(server.pid).slice(1); // the engine is the oldest
    expect(trainers.length).toBeGreaterThan(0);
    for (const pid of trainers) process.kill(pid, "SIGKILL");
    await until("the next process", () => childrenOf(server.pid).some((pid, i) => i > 0 && !trainers.includes(pid)));

    const running = childrenOf(server.pid);
    server.child.kill("SIGKILL");
    await server.exited;
    for (const pid of running) await until("the end of its processes", () => !isAlive(pid));
    await start();
    expect(await acme.fineTuning.jobs.pause(job.id)).toMatchObject({ status: "paused" });
    const paused = await step(job);
    expect((await ended(acme, unbroken)).status).toBe("succeeded");
    expect([(await acme.fineTuning.jobs.retrieve(job.id)).status, await step(job)]).toEqual(["paused", paused]);
    await acme.fineTuning.jobs.resume(job.id);
    const [one, other] = [await ended(acme, job), await ended(acme, unbroken)];
    expect([one.status, other.status]).toEqual(["succeeded", "succeeded"]);
    const [made, same] = [await adaptersOf(one), await adaptersOf(other)];
    expect(made).toHaveLength(3);
    expect(made).toEqual(same);
    expect(one.trained_tokens).toBe(other.trained_tokens);
  });

  it("can be cancelled, and everything of it deleted", async () => {
    const job = await create(acme, file, { mosara: { steps: 5000 } });
    await until("a step", () => step(job));
    expect(await acme.fineTuning.jobs.cancel(job.id)).toMatchObject({ status: "cancelled", fine_tuned_model: null });
    await expect(acme.fineTuning.jobs.cancel(job.id)).rejects.toMatchObject({ status: 400 });
    await until("the end of its process", () => childrenOf(server.pid).length === 1);
    expect(readdirSync(join(data, "training", "runs"))).toEqual([]);

    const model = first.fine_tuned_model ?? "";
    expect(await acme.models.delete(model)).toMatchObject({ id: model, deleted: true });
    await expect(acme.completions.create({ model, prompt: "a" })).rejects.toMatchObject({ status: 404 });
    for await (const { id } of acme.files.list()) await acme.files.delete(id);
    expect(readdirSync(join(data, "training", "files"))).toEqual([]);
  });
});
