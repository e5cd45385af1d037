/** A whole model in training: its initial values, and the resulting Hugging Face checkpoint in float32. */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { copyCheckpointTexts } from "../checkpoint/checkpoint-files.ts";
import { withDtype } from "../checkpoint/config-text.ts";
import { addEndTokenIds } from "../checkpoint/end-token-ids.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { foreignNames } from "../model/families.ts";
import type { ModelConfig } from "../model/config/model-config.ts";
import type { TensorSource } from "../model/weights.ts";
import { type HostTensor, toFloat32, transposed } from "../tensor/host-tensor.ts";
import type { FlatParameters } from "./flat-parameters.ts";
import { writeWholeDirectory } from "../checkpoint/whole-directory.ts";

/** Fills `parameters` with the checkpoint's own tensors. */
export async function initializeFull(source: TensorSource, parameters: FlatParameters): Promise<void> {
  for (const name of parameters.names) parameters.set(name, toFloat32(await source.read(name)));
}

/**
 * Writes the checkpoint beside `out` and renames it. An existing one is replaced when the new one is complete.
 * @param texts the source of configuration and tokenizer, and end tokens to add to them
 * @param flat has the layout of `parameters.values`
 * @returns its size in bytes
 */
export async function writeTrainedCheckpoint(
  out: string,
  config: ModelConfig,
  texts: { readonly dir: string; readonly endTokenIds: readonly number[] },
  parameters: FlatParameters,
  flat: Float32Array,
): Promise<number> {
  await writeWholeDirectory(
    out,
    async (temporary) => {
      const tensors = foreignTensors(config, parameters, flat);
      const specs = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
      const load = async (name: string): Promise<HostTensor> => tensors.get(name)!; // a spec's name
      await writeSafetensors(join(temporary, "model.safetensors"), specs, load, { format: "pt" });
      await copyTexts(texts.dir, temporary);
      await addEndTokenIds(temporary, texts.endTokenIds);
    },
    (temporary) => replaceDirectory(out, temporary),
  );
  let bytes = 0;
  for (const name of await readdir(out)) bytes += (await stat(join(out, name))).size;
  return bytes;
}

/** The tensors under the names and in the layout of the family's own files. */
function foreignTensors(config: ModelConfig, parameters: FlatParameters, flat: Float32Array): Map<string, HostTensor> {
  const { namesOf, isTransposed } = foreignNames(config);
  return new Map(
    parameters.names.map((name) => {
      const tensor = parameters.tensor(name, flat);
      return [namesOf(name)[0] ?? name, isTransposed(name) ? transposed(tensor) : tensor];
    }),
  );
}

async function copyTexts(from: string, to: string): Promise<void> {
  await copyCheckpointTexts(from, to);
  const path = join(to, "config.json");
  await writeFile(path, withDtype(await readFile(path, "utf8"), "float32"));
}

async function replaceDirectory(out: string, replacement: string): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  const older = `${replacement}.older`;
  if (existsSync(out)) await rename(out, older);
  await rename(replacement, out);
  await rm(older, { recursive: true, force: true });
}
