/**
 * Bases built from checkpoints, kept in a cache directory. The key
 * is the content: the checkpoint's bytes and the build's options.
 * A copied checkpoint, or one with new timestamps, finds the same base. Knows no user's directories.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppError } from "../../errors.ts";
import { ggufPaths } from "../../formats/gguf/gguf-file.ts";
import { type BuildOptions, type BuildProgress, buildBase } from "./build.ts";
import { fileDigest } from "./file-digests.ts";
import { listCheckpointTexts } from "../../checkpoint/checkpoint-files.ts";
import { FORMAT_VERSION, MANIFEST_FILE, OLDEST_BASES_VERSION, readManifest } from "../manifest.ts";

/** The files that a build may read. Other files of a checkpoint (pickles, README) do not change the result. */
const READ_FILES = /\.(safetensors|json|jinja|txt|model)$/;

/**
 * The base directory of a checkpoint in `cacheDir`, built there first where it is missing.
 * Several processes may build the same base at once. Each builds its
 * own copy, and the first to finish gives the directory its name.
 * No process ever sees an incomplete base.
 * @param onBuild called before a build starts; not called where none is needed
 * @returns the directory's path. @throws {AppError} every error of `buildBase`.
 */
export async function buildCached(
  checkpointPath: string,
  cacheDir: string,
  options: BuildOptions,
  onProgress: (progress: BuildProgress) => void = () => {},
  onBuild: () => Promise<void> = async () => {},
): Promise<string> {
  const keyOf = await cacheKeys(checkpointPath, cacheDir, options);
  const dir = join(cacheDir, keyOf(FORMAT_VERSION));
  const isBuilt = (): boolean => existsSync(join(dir, MANIFEST_FILE));
  if (isBuilt()) return dir;
  await onBuild();
  const own = `${dir}.${randomUUID()}`;
  const make = (basisFrom: string | null) =>
    buildBase(checkpointPath, own, { ...options, basisFrom }, onProgress, `${dir}.bases`);
  const older = options.basisFrom === null ? olderBase(cacheDir, options, keyOf) : null;
  if (older === null) await make(options.basisFrom);
  else
    await make(older).catch(async (error: unknown) => {
      // A damaged base in the cache is no reason to fail, because its bases can be computed again.
      if (!(error instanceof AppError) || error.code !== "base_invalid") throw error;
      await make(null);
    });
  try {
    await rename(own, dir);
  } catch (error) {
    await rm(own, { recursive: true, force: true });
    if (!isBuilt()) throw error;
  }
  return dir;
}

/**
 * The base that an older version of this program made of the same checkpoint with the same options. Its adapter bases
 * are copied, so that adapters still fit and no time is lost.
 */
function olderBase(cacheDir: string, options: BuildOptions, keyOf: (version: number) => string): string | null {
  if (options.targets === "none") return null;
  for (let version = FORMAT_VERSION - 1; version >= OLDEST_BASES_VERSION; version--) {
    const dir = join(cacheDir, keyOf(version));
    if (existsSync(join(dir, MANIFEST_FILE))) return dir;
  }
  return null;
}

/** The key of a base by the version of its format. @param cacheDir knows the digests of large files */
export async function cacheKeys(
  checkpointPath: string,
  cacheDir: string,
  options: BuildOptions,
): Promise<(version: number) => string> {
  // The number of threads changes no result.
  const { weights, blockSize, targets, threshold, maxRank, isSlim, basisFrom } = options;
  const choices = { weights, blockSize, targets, threshold, maxRank, isSlim };
  const basis =
    basisFrom === null
      ? null
      : (await readManifest(basisFrom, OLDEST_BASES_VERSION)).targets.map((target) => [target.name, target.basisId]);
  const files: (readonly [string, Buffer])[] = [];
  for (const path of await filesOf(checkpointPath)) {
    files.push([`${basename(path)}\0`, await fileDigest(path, cacheDir)]);
  }
  return (version) => {
    const key = createHash("sha256").update(JSON.stringify([version, basis, choices]));
    for (const [name, content] of files) key.update(name).update(content);
    return key.digest("hex").slice(0, 32);
  };
}

/** The files that a build may read, always in the same order. */
async function filesOf(checkpointPath: string): Promise<readonly string[]> {
  if (!(await stat(checkpointPath)).isDirectory()) return await ggufPaths(checkpointPath);
  const names = (await readdir(checkpointPath)).filter((name) => READ_FILES.test(name));
  const all = new Set([...names, ...(await listCheckpointTexts(checkpointPath))]);
  return [...all].sort().map((name) => join(checkpointPath, name));
}
