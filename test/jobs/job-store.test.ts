/** Records of jobs and files on disk: what is kept, what is forgotten, and whose it is. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { JobStore } from "../../src/jobs/job-store.ts";
import { adapterNameOf, type JobRecord, type JobState } from "../../src/jobs/records.ts";
import { isAdapterName } from "../../src/store/adapter-record.ts";
import { smallDisk } from "../helpers/small-disk.ts";
import { queuedJob } from "./queued-job.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-jobs-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const job = (number: number, state: JobState = "queued", tenant = "acme"): JobRecord => ({
  ...queuedJob(tenant, `ftjob-${String(number).padStart(24, "0")}`),
  state,
  created: number,
});
const said = { level: "info", type: "message", message: "a", data: null } as const;

it("forgets a tenant's oldest ended job for a new one, with its events, and refuses where none has ended", async () => {
  await using store = await JobStore.open(join(dir, "full"), 3);
  await store.addJob(job(1, "succeeded", "globex"));
  for (const one of [job(1), job(2, "failed"), job(3)]) await store.addJob(one);
  await store.update(job(2), {}, said);
  await store.addJob(job(4));
  expect(store.jobs("acme").map(({ created }) => created)).toEqual([4, 3, 1]);
  expect([store.events(job(2)), store.jobs("globex").length]).toEqual([[], 1]);
  await expect(store.addJob(job(5))).rejects.toMatchObject({ code: "invalid_request" });
});

it("keeps jobs, events and files over a restart, in their order", async () => {
  const path = join(dir, "kept");
  let file = "";
  {
    await using store = await JobStore.open(path);
    await store.addJob(job(1));
    await Promise.all(["first", "second", "third"].map((message) => store.update(job(1), {}, { ...said, message })));
    file = (await store.addFile({ tenant: "acme", filename: "a.jsonl", purpose: "fine-tune" }, Buffer.from("{}"))).id;
  }
  await using store = await JobStore.open(path);
  expect(store.events(job(1)).map(({ message }) => message)).toEqual(["first", "second", "third"]);
  expect(store.events(job(1), 2).map(({ message }) => message)).toEqual(["third"]);
  expect([store.file("acme", file)?.bytes, store.file("globex", file)]).toEqual([2, undefined]);
  expect(await store.deleteFile("globex", file)).toBe(false);
  expect(await store.deleteFile("acme", file)).toBe(true);
  expect(existsSync(store.pathOf({ id: file }))).toBe(false);
});

it.each(["demo", "HuggingFaceTB/SmolLM2-135M", "a b:c".repeat(40)])(
  "calls the adapter of a job on %s by a valid name",
  (model) => {
    expect(isAdapterName(adapterNameOf({ ...job(1), model, suffix: "s".repeat(40), tenant: "t".repeat(64) }))).toBe(
      true,
    );
  },
);

it("refuses a job beyond a limit of those that have not ended, for that tenant alone", async () => {
  await using store = await JobStore.open(join(dir, "active"));
  for (const one of [job(1, "succeeded"), job(2, "paused"), job(3)]) await store.addJob(one, 2);
  await expect(store.addJob(job(4), 2)).rejects.toMatchObject({ code: "quota_exceeded" });
  await store.addJob(job(4, "queued", "globex"), 2);
  await store.update(job(3), { state: "failed" });
  await store.addJob(job(5), 2);
  expect(store.jobs("acme").map(({ created }) => created)).toEqual([5, 3, 2, 1]);
});

it("holds its limits against jobs and files that come at the same time", async () => {
  await using store = await JobStore.open(join(dir, "together"), 3);
  const numKept = async (added: readonly Promise<unknown>[]): Promise<number> =>
    (await Promise.allSettled(added)).filter(({ status }) => status === "fulfilled").length;
  expect(await numKept([1, 2, 3, 4].map((number) => store.addJob(job(number), 2)))).toBe(2);
  const file = { tenant: "acme", filename: "a.jsonl", purpose: "fine-tune" } as const;
  expect(await numKept(Array.from({ length: 5 }, () => store.addFile(file, Buffer.from("{}"))))).toBe(3);
  expect([store.jobs("acme").length, store.files("acme").length]).toEqual([2, 3]);
  expect(readdirSync(join(dir, "together", "files"))).toHaveLength(3);
});

const disk = smallDisk(1536);
afterAll(() => disk?.[Symbol.dispose]());

it.skipIf(disk === null)(
  "refuses changes on a full disk, keeps what it had, and continues when there is room",
  async () => {
    const path = join(disk!.dir, "jobs");
    const add = (store: JobStore, bytes: number) =>
      store.addFile({ tenant: "acme", filename: "a.jsonl", purpose: "fine-tune" }, Buffer.alloc(bytes));
    {
      await using store = await JobStore.open(path);
      await store.addJob(job(1));
      disk!.fill();
      await expect(add(store, 4096)).rejects.toMatchObject({ code: "store_failed" });
      let numEvents = 0;
      const note = async () => {
        await store.update(job(1), {}, { ...said, message: "a".repeat(4000) });
        numEvents++;
      };
      await expect(
        (async () => {
          for (;;) await note();
        })(),
      ).rejects.toMatchObject({ code: "store_failed" });
      await expect(note()).rejects.toMatchObject({ code: "store_failed" });
      expect([store.events(job(1)).length, store.files("acme")]).toEqual([numEvents, []]);
      disk!.empty();
      expect(disk!.resize(65_536)).toBe(true);
      await add(store, 4096);
      await note();
    }
    await using store = await JobStore.open(path);
    expect([store.jobs("acme").length, store.files("acme").length]).toEqual([1, 1]);
    expect(store.events(job(1)).length).toBeGreaterThan(1);
  },
);
