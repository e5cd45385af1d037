/** The trained model of the scenarios whose figures depend on what a model has learned. */
import { existsSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "../options.ts";

/** The shipped base, whose weights have learned something: random ones have nothing to lose. */
const DEMO = fileURLToPath(new URL("../../../models/demo", import.meta.url));

/** `--trained`, or the demo. */
export function trainedModel({ trainedDir }: Pick<BenchOptions, "trainedDir">): string {
  return trainedDir ?? DEMO;
}

/** The same as a checkpoint. A base directory's own weights are copied to `copy` as the checkpoint that they were. */
export async function trainedCheckpoint(options: Pick<BenchOptions, "trainedDir">, copy: string): Promise<string> {
  const dir = trainedModel(options);
  if (!existsSync(join(dir, "weights.safetensors"))) return dir;
  await mkdir(copy, { recursive: true });
  for (const name of ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
    if (existsSync(join(dir, name))) await copyFile(join(dir, name), join(copy, name));
  await copyFile(join(dir, "weights.safetensors"), join(copy, "model.safetensors"));
  return copy;
}
