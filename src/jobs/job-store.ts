/**
 * Jobs, their events and training files on disk, by tenant. Records are in LMDB. A file's content is a plain file,
 * whose removal removes its bytes. A change is on disk when its promise resolves, and rejects with store_failed where
 * the disk is full or read-only. Knows nothing of trainers.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Database, RootDatabase } from "lmdb";
import { AppError } from "../errors.ts";
import { replaceFile } from "../replace-file.ts";
import { DiskRoom, notWritten } from "../store/lmdb/disk-room.ts";
import { openEnvironment } from "../store/lmdb/environment.ts";
import { Transactions, withoutLooseRejections } from "../store/lmdb/transactions.ts";
import { type FileRecord, isFinal, type JobEvent, type JobRecord, newId, unixNow } from "./records.ts";

/** Greatest number of files, and of jobs, of a tenant. */
const MAX_ENTRIES = 1000;
/** Greatest number of bytes of a tenant's files. */
const MAX_TENANT_BYTES = 2 ** 30;
/** Greater than every number of an event. */
const LAST_EVENT = Number.MAX_SAFE_INTEGER;

export type NewEvent = Omit<JobEvent, "id" | "created">;
export type JobChange = Partial<JobRecord> | ((job: JobRecord) => Partial<JobRecord>);

export class JobStore implements AsyncDisposable {
  readonly #dir: string;
  readonly #maxEntries: number;
  readonly #root: RootDatabase;
  readonly #transactions: Transactions;
  /** [tenant, id] → record. */
  readonly #files: Database<FileRecord, [string, string]>;
  readonly #jobs: Database<JobRecord, [string, string]>;
  /** [job, number] → event. */
  readonly #events: Database<JobEvent, [string, number]>;
  readonly #listeners = new Set<(job: JobRecord) => void>();

  private constructor(dir: string, maxEntries: number) {
    this.#dir = dir;
    this.#maxEntries = maxEntries;
    const records = join(dir, "records");
    this.#root = openEnvironment(records, 4);
    this.#transactions = new Transactions(this.#root, new DiskRoom(this.#root, records));
    const table = <V, K extends [string, string | number]>(name: string) =>
      withoutLooseRejections(this.#root.openDB<V, K>({ name, encoding: "json" }));
    this.#files = table("files");
    this.#jobs = table("jobs");
    this.#events = table("events");
  }

  /**
   * Opens the store in `dir`, and makes it if it is not there.
   * @param maxEntries files, and jobs, of a tenant
   * @throws {AppError} usage: its disk has no room for a new one
   */
  static async open(dir: string, maxEntries = MAX_ENTRIES): Promise<JobStore> {
    for (const part of ["files", "runs"]) await mkdir(join(dir, part), { recursive: true });
    return new JobStore(dir, maxEntries);
  }

  /** @throws {AppError} invalid_request: the tenant has too many files. store_failed. */
  async addFile(file: Pick<FileRecord, "tenant" | "filename" | "purpose">, content: Uint8Array): Promise<FileRecord> {
    const record = { ...file, id: newId("file"), bytes: content.byteLength, created: unixNow() };
    this.#assertRoomFor(record);
    const path = this.pathOf(record);
    await replaceFile(path, content).catch((error: unknown) => {
      throw notWritten(error);
    });
    try {
      await this.#transactions.write(() => {
        this.#assertRoomFor(record); // other uploads may have ended while this one was written
        void this.#files.put([record.tenant, record.id], record);
      });
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return record;
  }

  /** @throws {AppError} invalid_request */
  #assertRoomFor({ tenant, bytes }: FileRecord): void {
    const present = this.files(tenant);
    const total = present.reduce((sum, one) => sum + one.bytes, bytes);
    if (present.length < this.#maxEntries && total <= MAX_TENANT_BYTES) return;
    throw new AppError(
      "invalid_request",
      `A tenant can have ${this.#maxEntries} files with ${MAX_TENANT_BYTES} bytes together. Delete files with DELETE /v1/files/{id}.`,
    );
  }

  /** The content of a file. */
  pathOf({ id }: Pick<FileRecord, "id">): string {
    return join(this.#dir, "files", id);
  }

  /** Where a job's trainer works. */
  runDirOf({ id }: Pick<JobRecord, "id">): string {
    return join(this.#dir, "runs", id);
  }

  file(tenant: string, id: string): FileRecord | undefined {
    return this.#files.get([tenant, id]);
  }

  /** The tenant's files, newest first. */
  files(tenant: string): readonly FileRecord[] {
    return newestFirst(this.#ofTenant(this.#files, tenant));
  }

  async deleteFile(tenant: string, id: string): Promise<boolean> {
    const record = this.file(tenant, id);
    if (record === undefined) return false;
    await this.#transactions.write(() => void this.#files.remove([tenant, id]));
    await rm(this.pathOf(record), { force: true });
    return true;
  }

  job(tenant: string, id: string): JobRecord | undefined {
    return this.#jobs.get([tenant, id]);
  }

  /** The tenant's jobs, newest first. */
  jobs(tenant: string): readonly JobRecord[] {
    return newestFirst(this.#ofTenant(this.#jobs, tenant));
  }

  /** Jobs of all tenants, newest first. */
  allJobs(): readonly JobRecord[] {
    return newestFirst(Array.from(this.#jobs.getRange(), ({ value }) => value));
  }

  /**
   * Adds a job. If the tenant has too many jobs, its oldest ended job is forgotten.
   * @param maxActive greatest number of its jobs that have not ended
   * @throws {AppError} quota_exceeded: it has that many. invalid_request: it has too many, and none of them has ended.
   */
  async addJob(job: JobRecord, maxActive = Infinity): Promise<void> {
    await this.#transactions.write(() => {
      const present = this.jobs(job.tenant);
      const numActive = present.filter(({ state }) => !isFinal(state)).length;
      if (numActive >= maxActive)
        throw new AppError(
          "quota_exceeded",
          `${numActive} training jobs have not ended, and the limit is ${maxActive}. Wait for one to end, or cancel one.`,
        );
      if (present.length >= this.#maxEntries) this.#forget(this.#oldestEnded(present));
      void this.#jobs.put([job.tenant, job.id], job);
    });
  }

  /** @param present the tenant's jobs, newest first @throws {AppError} invalid_request: none has ended */
  #oldestEnded(present: readonly JobRecord[]): JobRecord {
    const oldest = present.findLast(({ state }) => isFinal(state));
    if (oldest !== undefined) return oldest;
    throw new AppError("invalid_request", `The tenant has ${this.#maxEntries} jobs that have not ended. Cancel some.`);
  }

  /** Within a transaction. */
  #forget({ tenant, id }: JobRecord): void {
    void this.#jobs.remove([tenant, id]);
    for (const key of Array.from(this.#events.getKeys({ start: [id, 0], end: [id, LAST_EVENT] })))
      void this.#events.remove(key);
  }

  /**
   * Changes a job and adds an event, in one step.
   * @param change the new values, or a function that computes them from the current record
   * @param event null: none
   * @returns the record afterwards
   */
  async update({ tenant, id }: JobRecord, change: JobChange, event: NewEvent | null = null): Promise<JobRecord> {
    const updated = await this.#transactions.write(() => {
      const before = this.#jobs.get([tenant, id]);
      if (before === undefined) throw new Error(`internal: job ${id} has gone`);
      const after = { ...before, ...(typeof change === "function" ? change(before) : change) };
      void this.#jobs.put([tenant, id], after);
      if (event !== null) this.#append(id, event);
      return after;
    });
    for (const listener of this.#listeners) listener(updated);
    return updated;
  }

  /** Within a transaction. */
  #append(id: string, event: NewEvent): void {
    const keys = this.#events.getKeys({ start: [id, LAST_EVENT], end: [id, 0], reverse: true, limit: 1 });
    const [[, last] = [id, 0]] = Array.from(keys);
    void this.#events.put([id, last + 1], { ...event, id: newId("ftevent"), created: unixNow() });
  }

  /** The events of a job, oldest first. @param numSkipped that many of the oldest are neither read nor returned */
  events({ id }: Pick<JobRecord, "id">, numSkipped = 0): readonly JobEvent[] {
    // Events have the numbers 1, 2, … and are only removed together.
    const range = { start: [id, numSkipped + 1], end: [id, LAST_EVENT] } satisfies Record<string, [string, number]>;
    return Array.from(this.#events.getRange(range), ({ value }) => value);
  }

  /** Calls `listener` after every change and event of any job. @returns a function that removes it */
  onChange(listener: (job: JobRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #ofTenant<T>(table: Database<T, [string, string]>, tenant: string): T[] {
    return Array.from(table.getRange({ start: [tenant, ""], end: [tenant, "\x7f"] }), ({ value }) => value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root.close();
  }
}

function newestFirst<T extends { readonly created: number; readonly id: string }>(entries: readonly T[]): readonly T[] {
  return [...entries].sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
}
