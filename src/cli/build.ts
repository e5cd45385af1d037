/** `mosara build`: makes a base directory from a checkpoint. */
import { stat } from "node:fs/promises";
import { buildBase } from "../base/build/build.ts";
import type { SecondRounding } from "../base/build/second-rounding.ts";
import type { ConfigOf } from "../config/commands.ts";
import { isGgufFile } from "../formats/gguf/gguf-file.ts";
import { announceBuild } from "./shared/announce-build.ts";
import { buildOptions } from "./shared/build-options.ts";
import { locateModel } from "./shared/locate-model.ts";
import { noModelError } from "./shared/no-model.ts";
import { Progress } from "./shared/progress.ts";

/** @returns the exit code. @throws {AppError} */
export async function build(config: ConfigOf<"build">): Promise<number> {
  const [model = ""] = config.positionals; // the table requires one
  const options = buildOptions(config);
  const checkpoint = await locateModel(model);
  if (!(await isDirectory(checkpoint)) && !(await isGgufFile(checkpoint))) throw await noModelError(checkpoint);
  await announceBuild(checkpoint, options);
  const progress = new Progress();
  const onProgress = ({ stage, done }: { stage: string; done: number }) => progress.update(stage, done);
  const { manifest, secondRounding, numContinued, bytes, seconds } = await buildBase(
    checkpoint,
    config.out,
    options,
    onProgress,
  ).finally(() => progress.end());
  const { baseId, architecture, parameters, weights } = manifest;
  const targets = manifest.targets.map(({ name, k, dIn, dOut }) => ({ name, k, dIn, dOut }));
  if (config.json) {
    process.stdout.write(
      `${JSON.stringify({ baseId, architecture, parameters, weights, secondRounding, numContinued, bytes, targets, seconds })}\n`,
    );
    return 0;
  }
  const ranks = targets.map(({ k }) => k);
  const bases =
    targets.length === 0
      ? "no bases"
      : `${targets.length} bases of rank ${Math.min(...ranks)} to ${Math.max(...ranks)}`;
  process.stdout.write(
    `${config.out}: ${architecture}, ${parameters} parameters, ${weights}, ${bases}, ${bytes} bytes, ${seconds.toFixed(1)} s\nbase ${baseId}\n${secondRounding === null ? "" : roundingLine(secondRounding, weights)}${numContinued === 0 ? "" : `${numContinued} bases are from a build that was stopped\n`}`,
  );
  return 0;
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

/** A sentence about a file that is already quantised: which matrices keep their numbers. */
function roundingLine({ kept, rounded, relativeError }: SecondRounding, weights: string): string {
  const types = Object.entries(rounded).map(([type, count]) => `${count} of ${type}`);
  const cost = `${(100 * relativeError).toPrecision(2)} % of their weights' size (root mean square)`;
  const others =
    types.length === 0 ? "" : `; ${types.join(", ")} were rounded again to ${weights}, which moves them by ${cost}`;
  return `${kept} matrices keep the file's own numbers${others}\n`;
}
