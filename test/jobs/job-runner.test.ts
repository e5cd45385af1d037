/** The order in which jobs of several tenants run, with real processes whose training is a toy. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import { JobRunner, type RunnerPorts } from "../../src/jobs/job-runner.ts";
import { JobStore } from "../../src/jobs/job-store.ts";
import { type JobRecord, newId } from "../../src/jobs/records.ts";
import { queuedJob } from "./queued-job.ts";
import { until } from "../helpers/server.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-runner-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const portsOf = (folder: string, store: JobStore, publish: RunnerPorts["publish"]): RunnerPorts => ({
  store,
  log: pino({ level: "silent" }),
  program: { entry: new URL("toy-trainer.mjs", import.meta.url), nice: 0 },
  place: { baseDir: folder, numThreads: 1, defaultRate: () => 1 },
  check: () => {},
  publish,
});

/**
 * Submits a job for each tenant in this order, while the first ones run.
 * @returns the jobs in the order of their starts
 */
async function orderOf(tenants: readonly string[], maxRunning: number): Promise<string[]> {
  const folder = mkdtempSync(join(dir, "run-"));
  const gate = join(folder, "gate");
  const started: string[] = [];
  const published = new Set<string>();
  await using store = await JobStore.open(join(folder, "store"));
  const ports = portsOf(folder, store, ({ id }) => Promise.resolve(void published.add(id)));
  store.onChange(({ suffix, state }) => {
    if (state === "running" && !started.includes(suffix ?? "")) started.push(suffix ?? "");
  });
  await using runner = new JobRunner(ports, maxRunning);
  for (const [index, tenant] of tenants.entries()) {
    const file = await store.addFile({ tenant, filename: "a", purpose: "fine-tune" }, Buffer.from(gate));
    const number = tenants.slice(0, index).filter((one) => one === tenant).length + 1;
    const named = { id: newId("ftjob"), suffix: `${tenant} ${number}`, trainingFile: file.id };
    await runner.submit({ ...queuedJob(tenant), ...named });
  }
  writeFileSync(gate, "");
  await until("all jobs", () => published.size === tenants.length);
  return started;
}

it("tenants take turns, however many jobs one of them has, and each tenant's jobs keep their order", async () => {
  const tenants = ["acme", "acme", "acme", "acme", "globex", "globex", "initech"];
  const turns = ["acme 1", "globex 1", "initech 1", "acme 2", "globex 2", "acme 3", "acme 4"];
  expect(await orderOf(tenants, 1)).toEqual(turns);
});

it("a tenant has all trainers only until another tenant has a job", async () => {
  const jobs = await orderOf(["acme", "acme", "acme", "acme", "globex"], 2);
  expect(jobs.slice(0, 2).sort()).toEqual(["acme 1", "acme 2"]);
  expect(jobs.slice(2, 4)).toContain("globex 1");
});

it("a checkpoint without room is left out, and an event says so", async () => {
  const folder = mkdtempSync(join(dir, "run-"));
  const names: string[] = [];
  await using store = await JobStore.open(join(folder, "store"));
  const publish = async ({ adapterName }: JobRecord, name: string): Promise<void> => {
    if (name !== adapterName) throw new AppError("quota_exceeded", "The tenant may have 1 adapter.");
    names.push(name);
  };
  await using runner = new JobRunner(portsOf(folder, store, publish), 1);
  const file = await store.addFile({ tenant: "acme", filename: "a", purpose: "fine-tune" }, Buffer.from(folder));
  const job = await runner.submit({ ...queuedJob(), trainingFile: file.id });
  const ended = await until(
    "the end of the job",
    () => store.job("acme", job.id),
    (now) => now?.state === "succeeded",
  );
  expect([names, ended?.checkpoints]).toEqual([[job.adapterName], []]);
  const warnings = store.events(job).filter(({ level }) => level === "warn");
  expect(warnings.map(({ message }) => message)).toEqual([
    "The checkpoint of step 1 was not kept: The tenant may have 1 adapter.",
  ]);
});
