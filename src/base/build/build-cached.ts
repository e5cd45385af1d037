/**
 * Bases built from checkpoints, kept in a cache directory. The key
 * is the content: the checkpoint's bytes and the build's options.
 * A copied checkpoint, or one with new timestamps, finds the same base. Knows no user's directories.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ggufPaths } from "../../formats/gguf/gguf-file.ts";
import { type BuildOptions, type BuildProgress, buildBase } from "./build.ts";
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
  const dir = join(cacheDir, await cacheKey(checkpointPath, options));
  const isBuilt = (): boolean => existsSync(join(dir, MANIFEST_FILE));
  if (isBuilt()) return dir;
  await onBuild();
  const own = `${dir}.${randomUUID()}`;
  await buildBase(checkpointPath, own, options, onProgress);
  try {
    await rename(own, dir);
  } catch (error) {
    await rm(own, { recursive: true, force: true });
    if (!isBuilt()) throw error;
  }
  return dir;
}

async function cacheKey(checkpointPath: string, options: BuildOptions): Promise<string> {
  const { weights, blockSize, targets, threshold, maxRank, isSlim, basisFrom } = options; // the number of threads changes no result
  const choices = { weights, blockSize, targets, threshold, maxRank, isSlim };
  const basis =
    basisFrom === null
      ? null
      : (await readManifest(basisFrom, OLDEST_BASES_VERSION)).targets.map((target) => [target.name, target.basisId]);
  const key = createHash("sha256").update(JSON.stringify([FORMAT_VERSION, basis, choices]));
  for (const path of await filesOf(checkpointPath)) {
    const content = createHash("sha256");
    await pipeline(createReadStream(path), content);
    key.update(`${basename(path)}\0`).update(content.digest());
  }
  return key.digest("hex").slice(0, 32);
}

/** The files that a build may read, always in the same order. */
async function filesOf(checkpointPath: string): Promise<readonly string[]> {
  if (!(await stat(checkpointPath)).isDirectory()) return await ggufPaths(checkpointPath);
  const names = (await readdir(checkpointPath)).filter((name) => READ_FILES.test(name));
  const all = new Set([...names, ...(await listCheckpointTexts(checkpointPath))]);
  return [...all].sort().map((name) => join(checkpointPath, name));
}
