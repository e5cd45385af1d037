/** Builds a checkpoint into the cache, once, for the commands whose `--model` may be one. */
import { buildCached } from "../../base/build/build-cached.ts";
import type { BuildFlags } from "../../config/commands.ts";
import { announceBuild } from "./announce-build.ts";
import { buildOptions } from "./build-options.ts";
import { Progress } from "./progress.ts";

/** @returns the base directory. @throws {AppError} usage, checkpoint_invalid, … */
export async function buildCheckpoint(dir: string, cache: string, flags: BuildFlags): Promise<string> {
  const progress = new Progress();
  const onProgress = ({ stage, done }: { stage: string; done: number }) => progress.update(stage, done);
  const options = buildOptions(flags);
  const announce = () => announceBuild(dir, options);
  return await buildCached(dir, cache, options, onProgress, announce).finally(() => progress.end());
}
