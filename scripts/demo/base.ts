/**
 * The demo base as a directory: a trained checkpoint in float16 with its bases, and the same again from what is
 * shipped.
 */
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { WEIGHTS_FILE } from "../../src/base/base.ts";
import { buildBase } from "../../src/base/build/build.ts";
import { copyCheckpointTexts } from "../../src/checkpoint/checkpoint-files.ts";
import { withDtype } from "../../src/checkpoint/config-text.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/host-tensor.ts";

/**
 * Half of every layer's sum of singular values: on a model this narrow more directions are cheap, and adapters gain by
 * them.
 */
const THRESHOLD = 0.5;

/** Builds the base from a float32 checkpoint. @param work directory for the checkpoint in float16 */
export async function buildDemo(checkpoint: string, out: string, work: string): Promise<void> {
  const half = join(work, "half");
  await rm(half, { recursive: true, force: true });
  await mkdir(half, { recursive: true });
  await copyCheckpointTexts(checkpoint, half);
  const config = join(half, "config.json");
  await writeFile(config, withDtype(await readFile(config, "utf8"), "float16"));
  await using file = await openSafetensors(join(checkpoint, "model.safetensors"));
  const specs = [...file.tensors].map(([name, { shape }]) => ({ name, shape, dtype: "float16" as const }));
  const load = async (name: string) => {
    const tensor = await file.read(name);
    return { dtype: "float16" as const, shape: tensor.shape, data: fromFloat32(toFloat32(tensor), "float16") };
  };
  await writeSafetensors(join(half, "model.safetensors"), specs, load, { format: "pt" });
  await build(half, out, null);
}

/** Writes graph and manifest of a base again, from its own weights and bases: ids stay, and so adapters fit. */
export async function rebuildDemo(base: string, work: string): Promise<void> {
  const shipped = join(work, "shipped");
  await rm(shipped, { recursive: true, force: true });
  await mkdir(shipped, { recursive: true });
  await copyCheckpointTexts(base, shipped);
  await cp(join(base, WEIGHTS_FILE), join(shipped, "model.safetensors"));
  const readme = await readFile(join(base, "README.md")).catch(() => null);
  await build(shipped, base, base);
  if (readme !== null) await writeFile(join(base, "README.md"), readme);
}

async function build(checkpoint: string, out: string, basisFrom: string | null): Promise<void> {
  const common = { weights: "float16", blockSize: null, targets: null, maxRank: null, isSlim: false } as const;
  await buildBase(checkpoint, out, { ...common, threshold: THRESHOLD, basisFrom, numThreads: 2 });
}
