/**
 * The output files of `mosara train`: the adapter or checkpoint, and beside it the step log and the checkpoint for
 * resuming.
 */
import { constants } from "node:fs";
import { access, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { encodeAdapter, generationOf } from "../../adapter/adapter-file.ts";
import type { Adapter } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import { replaceFile } from "../../replace-file.ts";
import { readCheckpoint } from "../../train/checkpoint.ts";

export interface OutputPaths {
  readonly out: string;
  readonly log: string;
  readonly checkpoint: string;
}

export function outputPaths(out: string): OutputPaths {
  const path = resolve(out);
  return { out: path, log: `${path}.log.jsonl`, checkpoint: `${path}.checkpoint` };
}

/** Where the adapter of a step is kept, beside the run's own. */
export function keptPaths(paths: OutputPaths, step: number): OutputPaths {
  return { ...paths, out: `${paths.out.replace(/\.mosara$/, "")}.step-${step}.mosara` };
}

/**
 * Checks before training that every output can be written.
 * @param isDirectory whether the output is a checkpoint directory (`full`) instead of a file
 * @param mayReplace whether a directory may exist already: a resumed run writes its own directory again
 * @throws {AppError} usage
 */
export async function assertWritable({ out }: OutputPaths, isDirectory: boolean, mayReplace: boolean): Promise<void> {
  const parent = dirname(out);
  const kind = await stat(parent).catch(() => null);
  if (!kind?.isDirectory())
    throw new AppError("usage", `--out ${out}: there is no directory ${parent}. Create it first.`);
  await access(parent, constants.W_OK).catch((cause: unknown) => {
    throw new AppError("usage", `--out ${out}: ${parent} cannot be written. Name another directory.`, { cause });
  });
  const found = await stat(out).catch(() => null);
  if (!found) return;
  if (!isDirectory && found.isDirectory())
    throw new AppError("usage", `--out ${out} is a directory. Name a .mosara file.`);
  if (isDirectory && !mayReplace && (!found.isDirectory() || (await readdir(out)).length > 0))
    throw new AppError("usage", `--out ${out} exists and is not empty. Name another directory, or remove it.`);
}

/**
 * Makes room for a new run. The checkpoint of an unfinished run is moved aside, never lost.
 * @param steps number of steps of a finished run
 */
export async function putAside(
  { checkpoint }: OutputPaths,
  steps: number,
  onNotice: (text: string) => void,
): Promise<void> {
  const saved = await readCheckpoint(checkpoint).catch(() => undefined); // a damaged checkpoint is moved aside as well
  if (saved === null) return;
  const isFinished = saved !== undefined && (saved.state.isStopped || saved.state.step >= steps);
  if (isFinished) return await rm(checkpoint);
  await rename(checkpoint, `${checkpoint}.previous`);
  const where = saved === undefined ? "" : ` of step ${saved.state.step}`;
  onNotice(
    `beginning anew; the earlier checkpoint${where} is now ${checkpoint}.previous (--resume would have continued from it).`,
  );
}

/** Writes the adapter beside its destination and renames it when it is complete. @throws {AppError} training_failed */
export async function writeAdapter(
  { out, checkpoint }: OutputPaths,
  adapter: Adapter,
): Promise<{ readonly generation: string; readonly bytes: number }> {
  const bytes = encodeAdapter(adapter);
  try {
    await replaceFile(out, bytes);
  } catch (cause) {
    throw new AppError(
      "training_failed",
      `${out} could not be written: ${(cause as Error).message}. The trained state is in ${checkpoint}. Make room and run the command again with --resume.`,
      { cause },
    );
  }
  return { generation: generationOf(bytes), bytes: bytes.byteLength };
}
