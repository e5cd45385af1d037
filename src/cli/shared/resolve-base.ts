/**
 * Resolves `--model`. A base directory is used directly, and a checkpoint is built once into the cache. A model of the
 * Hub is fetched first. The demo is shipped with the package.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { MANIFEST_FILE } from "../../base/manifest.ts";
import type { BuildFlags } from "../../config/commands.ts";
import { AppError } from "../../errors.ts";
import { ALIASES } from "../../hub/aliases.ts";
import { isGgufFile } from "../../formats/gguf/gguf-file.ts";
import { hubNameOf, locateModel } from "./locate-model.ts";
import { noModelError } from "./no-model.ts";
import { packageRoot } from "./package-root.ts";

/** The folder of the shipped demo and its adapters. */
export function shippedDemo(): { readonly model: string; readonly adapters: string } {
  return { model: join(packageRoot(), "models", "demo"), adapters: join(packageRoot(), "adapters") };
}

/** The default name of a base: a short name, or the name of its repository, directory or GGUF file. */
export function nameOfModel(model: string): string {
  const hub = ALIASES.has(model.toLowerCase()) ? null : hubNameOf(model);
  const path = hub === null ? resolve(model) : (hub.file ?? hub.repo);
  return basename(path).replace(/(-\d{5}-of-\d{5})?\.gguf$/, "") || "base";
}

/** Build options for commands without build flags, such as a command that reads only weights and bases. */
export const PLAIN_BUILD: BuildFlags = {
  weights: "auto",
  blockSize: null,
  basisFrom: null,
  targets: null,
  threshold: null,
  maxRank: null,
  slim: false,
};

/** A base directory for `model`. A checkpoint is built first. @throws {AppError} usage, checkpoint_invalid, … */
export async function resolveBase(
  model: string,
  flags: BuildFlags & { readonly cache: string | null },
): Promise<string> {
  const dir = resolve(await locateModel(model));
  if (existsSync(join(dir, MANIFEST_FILE))) {
    assertNoBuildFlags(model, flags);
    return dir;
  }
  if (!existsSync(join(dir, "config.json")) && !(await isGgufFile(dir))) throw await noModelError(model);
  // A base directory is served without the code that reads and builds checkpoints.
  const { buildCheckpoint } = await import("./build-checkpoint.ts");
  return await buildCheckpoint(dir, flags.cache ?? defaultCache(), flags);
}

/** Refuses flags that would have no effect, because a user expects one. */
function assertNoBuildFlags(model: string, flags: BuildFlags): void {
  const { weights, blockSize, basisFrom, targets, threshold, maxRank, slim } = flags;
  const isGiven =
    weights !== "auto" || slim || [blockSize, basisFrom, targets, threshold, maxRank].some((value) => value !== null);
  if (isGiven)
    throw new AppError(
      "usage",
      `${model} is a base directory already, and build flags are only for checkpoints. Leave the flags out, or name the checkpoint.`,
    );
}

/** The platform's directory for data that can be made again. */
function defaultCache(): string {
  const { env, platform } = process;
  if (platform === "win32" && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, "mosara", "cache");
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "mosara");
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "mosara");
}
