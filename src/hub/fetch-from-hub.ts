/**
 * Downloads the model or adapter of a name on the Hub, and returns its path. Only needed files that the cache lacks are
 * fetched. If the Hub cannot be reached, the newest commit in the cache is used.
 */
import { existsSync } from "node:fs";
import { mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { download } from "./download.ts";
import { CachedRepository } from "./hub-cache.ts";
import { type HubName, hubNameText } from "./hub-name.ts";
import { HubUnreachable } from "./hub-request.ts";
import type { HubSettings } from "./hub-settings.ts";
import { type HubFile, type Repository, readRepository } from "./repository.ts";
import { type Wanted, wantedAdapter, wantedModel } from "./wanted-files.ts";

/** How the caller shows progress. */
export interface HubReporter {
  /** One line for the user. */
  note(line: string): void;
  /** `done` is 0…1. */
  progress(done: number, detail: string): void;
}

/**
 * @param kind a model is a checkpoint or a GGUF file; an adapter is a PEFT directory
 * @returns the path of a directory, or of a GGUF file's first part.
 * @throws {AppError} usage.
 */
export async function fetchFromHub(
  name: HubName,
  kind: "model" | "adapter",
  settings: HubSettings,
  reporter: HubReporter,
): Promise<string> {
  const cached = new CachedRepository(settings.cacheDir, name.repo);
  const choose = kind === "model" ? wantedModel : wantedAdapter;
  if (settings.isOffline) return await fromCache(name, cached, choose, offlineError(name, settings));
  let repository: Repository;
  try {
    repository = await readRepository(name, settings);
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    const path = await fromCache(name, cached, choose, error);
    reporter.note(`warning: ${settings.endpoint} does not answer, so ${hubNameText(name)} is read from the cache.`);
    return path;
  }
  const wanted = choose(name, repository.files);
  await fetchMissing(name, wanted.files, { cached, repository, settings, reporter });
  await cached.noteRevision(name.revision, repository);
  return pathOf(cached.snapshotDir(repository.commit), wanted);
}

type Choose = (name: HubName, files: readonly HubFile[]) => Wanted;

function offlineError(name: HubName, { cacheDir }: HubSettings): AppError {
  return new AppError(
    "usage",
    `${hubNameText(name)} is not in the cache (${cacheDir}), and HF_HUB_OFFLINE forbids downloads. Download it once with a network, or copy its files here and name their directory.`,
  );
}

/** @param absent thrown if the cache does not have all needed files */
async function fromCache(name: HubName, cached: CachedRepository, choose: Choose, absent: AppError): Promise<string> {
  const commit = await cached.commitOf(name.revision);
  const paths = commit === null ? [] : await cached.pathsOf(commit);
  if (commit === null || paths.length === 0) throw absent;
  const files = paths.map((path) => ({ path, size: 0, hash: "" }));
  let wanted: Wanted;
  try {
    wanted = choose(name, files);
  } catch {
    throw absent; // an earlier download fetched only some files
  }
  return pathOf(cached.snapshotDir(commit), wanted);
}

function pathOf(dir: string, { content, files }: Wanted): string {
  return content === "gguf" ? join(dir, (files[0] as HubFile).path) : dir; // a GGUF file was chosen
}

interface Source {
  readonly cached: CachedRepository;
  readonly repository: Repository;
  readonly settings: HubSettings;
  readonly reporter: HubReporter;
}

async function fetchMissing(
  name: HubName,
  files: readonly HubFile[],
  { cached, repository: { commit, licence }, settings, reporter }: Source,
): Promise<void> {
  const missing = files.filter((file) => !cached.hasFile(commit, file));
  const toFetch = missing.filter(({ hash }) => !existsSync(cached.blobPath(hash)));
  const total = toFetch.reduce((sum, { size }) => sum + size, 0);
  if (toFetch.length > 0) {
    await assertRoom(settings.cacheDir, total);
    reporter.note(
      `downloading ${name.repo} (${commit.slice(0, 8)}): ${toFetch.length} ${toFetch.length === 1 ? "file" : "files"}, ${inMegabytes(total)}, licence: ${licence ?? "its card states none"}`,
    );
  }
  let done = 0;
  for (const file of missing) {
    const blobPath = cached.blobPath(file.hash);
    const onBytes = (bytes: number): void =>
      reporter.progress((done + bytes) / Math.max(1, total), `${inMegabytes(done + bytes)} of ${inMegabytes(total)}`);
    if (!existsSync(blobPath)) {
      await download({ name, settings, commit, file, blobPath, onBytes });
      done += file.size;
    }
    await cached.link(commit, file);
  }
}

/** Refuses a download that the disk cannot hold, before it begins. */
async function assertRoom(cacheDir: string, bytes: number): Promise<void> {
  try {
    await mkdir(cacheDir, { recursive: true });
  } catch (error) {
    throw new AppError(
      "usage",
      `The Hub's cache cannot be written: ${(error as Error).message}. Name another directory with HF_HUB_CACHE.`,
      {
        cause: error,
      },
    );
  }
  const { bavail, bsize } = await statfs(cacheDir);
  if (bavail * bsize < bytes)
    throw new AppError(
      "usage",
      `The download needs ${inMegabytes(bytes)}, but ${cacheDir} has only ${inMegabytes(bavail * bsize)} free. Name another directory with HF_HUB_CACHE.`,
    );
}

const inMegabytes = (bytes: number): string =>
  bytes < 1e6
    ? `${Math.ceil(bytes / 1e3)} kB`
    : bytes < 1e9
      ? `${(bytes / 1e6).toFixed(0)} MB`
      : `${(bytes / 1e9).toFixed(1)} GB`;
