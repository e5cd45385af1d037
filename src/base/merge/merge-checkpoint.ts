/** `mosara merge`: writes an ordinary Hugging Face checkpoint with an adapter merged in, tensor by tensor. */
import { existsSync } from "node:fs";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Adapter } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import { writeSafetensors } from "../../formats/safetensors-writer.ts";
import { foreignNames } from "../../model/families.ts";
import type { ModelConfig } from "../../model/config/model-config.ts";
import { requiredTensors } from "../../model/required-tensors.ts";
import { LM_HEAD } from "../../model/weight-names.ts";
import type { DType } from "../../tensor/dtype.ts";
import { type HostTensor, fromFloat32, indexOfNonFinite, toFloat32, transposed } from "../../tensor/host-tensor.ts";
import type { Base } from "../base.ts";
import { copyCheckpointTexts } from "../../checkpoint/checkpoint-files.ts";
import { withDtype } from "../../checkpoint/config-text.ts";
import { addEndTokenIds } from "../../checkpoint/end-token-ids.ts";
import { mergedWeights } from "./merged-weights.ts";
import { writeWholeDirectory } from "../../checkpoint/whole-directory.ts";

export type MergeDType = "float32" | "float16" | "bfloat16";

export interface MergeOptions {
  /** null: every tensor in the dtype it is stored in. */
  readonly dtype: MergeDType | null;
  readonly numThreads: number;
}

export interface MergeResult {
  readonly out: string;
  /** Names of the tensors that differ from the checkpoint's. */
  readonly changed: readonly string[];
  readonly tensors: number;
  readonly seconds: number;
}

/**
 * Writes the merged checkpoint to `outDir`, which must not exist or be empty.
 * @throws {AppError} not_mergeable, adapter_incompatible, usage; no files are left behind then
 */
export async function mergeCheckpoint(
  base: Base,
  adapter: Adapter,
  outDir: string,
  options: MergeOptions,
  onProgress: (done: number) => void = () => {},
): Promise<MergeResult> {
  const start = performance.now();
  const out = resolve(outDir);
  if (existsSync(out) && (await readdir(out)).length > 0)
    throw new AppError("usage", `--out ${out} exists and is not empty. Name another directory, or remove it.`);
  await using merged = await mergedWeights(base, adapter, options.numThreads);
  const specs = requiredTensors(base.manifest.config, base.source.has(LM_HEAD)).map(({ name, shape }) => ({
    name,
    shape,
    dtype: options.dtype ?? base.source.stored(name).dtype,
  }));
  const file = fileLayout(base.manifest.config, specs);
  await writeWholeDirectory(out, async (temporary) => {
    let numDone = 0;
    const load = async (foreign: string): Promise<HostTensor> => {
      const { name, dtype, isTransposed } = file.get(foreign)!; // the layout names only tensors of the file
      const tensor = merged.changed.has(name) ? await merged.read(name) : await base.source.read(name);
      onProgress(++numDone / specs.length);
      const rounded = stored(name, tensor, dtype);
      return isTransposed ? transposed(rounded) : rounded;
    };
    const foreignSpecs = [...file].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    await writeSafetensors(join(temporary, "model.safetensors"), foreignSpecs, load, { format: "pt" });
    await copyTexts(base.dir, temporary, options.dtype);
    await addEndTokenIds(temporary, adapter.endTokenIds ?? []);
  });
  return { out, changed: [...merged.changed], tensors: specs.length, seconds: (performance.now() - start) / 1000 };
}

interface FileTensor {
  readonly name: string;
  readonly dtype: MergeDType;
  /** A tensor's name and layout in the file. */
  readonly shape: readonly number[];
  readonly isTransposed: boolean;
}

/** The tensors under the names and in the layout of the family's own files. */
function fileLayout(
  config: ModelConfig,
  specs: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: DType }[],
): ReadonlyMap<string, FileTensor> {
  const { namesOf, isTransposed } = foreignNames(config);
  return new Map(
    specs.map(({ name, shape, dtype }) => {
      const isTurned = isTransposed(name);
      const tensor = {
        name,
        dtype: dtype as MergeDType, // a base has only float tensors
        shape: isTurned ? shape.toReversed() : shape,
        isTransposed: isTurned,
      };
      return [namesOf(name)[0] ?? name, tensor];
    }),
  );
}

function stored(name: string, tensor: HostTensor, dtype: MergeDType): HostTensor {
  if (tensor.dtype === dtype) return tensor;
  const rounded: HostTensor = { dtype, shape: tensor.shape, data: fromFloat32(toFloat32(tensor), dtype) };
  if (indexOfNonFinite(rounded) >= 0)
    throw new AppError("usage", `${name} has values beyond the range of ${dtype}. Use --dtype float32 or bfloat16.`);
  return rounded;
}

/** Copies configuration and tokenizer. Where the dtype was chosen, the configuration states the new one. */
async function copyTexts(from: string, to: string, dtype: MergeDType | null): Promise<void> {
  await copyCheckpointTexts(from, to);
  if (dtype === null) return;
  const path = join(to, "config.json");
  await writeFile(path, withDtype(await readFile(path, "utf8"), dtype));
}
