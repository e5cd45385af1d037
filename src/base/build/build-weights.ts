/**
 * The weights of a base directory. The checkpoint's tensors are copied one at a time; each is checked and hashed during
 * the copy. Knows nothing of graphs and bases. Quantised weights are made later, with the serving graph.
 */
import { join } from "node:path";
import { AppError } from "../../errors.ts";
import { writeSafetensors } from "../../formats/safetensors-writer.ts";
import { type HostTensor, fromFloat32, indexOfNonFinite, toFloat32 } from "../../tensor/host-tensor.ts";
import { ORIGINALS_FILE, WEIGHTS_FILE } from "../base.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { type TensorDigest, tensorDigest } from "../identity.ts";
import { type Manifest, SERVED } from "../manifest.ts";
import type { TensorHomes } from "./tensor-homes.ts";

/**
 * Copies the tensors into the base, checks that every value is finite, and returns the digests of the checkpoint's
 * tensors.
 */
export async function writeWeights(
  dir: string,
  checkpoint: Checkpoint,
  weights: Manifest["weights"],
  { kept, originals }: TensorHomes,
  onDone: (done: number) => void,
): Promise<readonly TensorDigest[]> {
  const digests: TensorDigest[] = [];
  const readChecked = async (name: string): Promise<HostTensor> => {
    const tensor = await readFinite(checkpoint, name);
    digests.push(tensorDigest(name, checkpoint.isDecoded ? asFloat32(tensor) : tensor));
    onDone(digests.length / checkpoint.tensors.length);
    return weights === "float16" ? toFloat16(name, tensor) : tensor;
  };
  const specs = kept.map(({ name, shape, dtype }) => ({
    name,
    shape,
    dtype: weights === "float16" ? ("float16" as const) : dtype,
  }));
  await writeSafetensors(join(dir, WEIGHTS_FILE), specs, readChecked, { format: "pt" });
  for (const tensor of checkpoint.tensors) if (!kept.includes(tensor)) await readChecked(tensor.name);
  await writeCoded(dir, checkpoint, originals);
  return digests;
}

/** A tensor. @throws {AppError} checkpoint_invalid where a value is not finite */
export async function readFinite(checkpoint: Checkpoint, name: string): Promise<HostTensor> {
  const tensor = await checkpoint.read(name);
  if (indexOfNonFinite(tensor) < 0) return tensor;
  throw new AppError("checkpoint_invalid", `The tensor ${name} contains NaN or infinite values.`);
}

/** The tensors in the form of the checkpoint's own files. Writes no file where there are none. */
async function writeCoded(
  dir: string,
  { tensors, coded }: Checkpoint,
  originals: TensorHomes["originals"],
): Promise<void> {
  const parts = tensors
    .filter(({ name }) => (originals[name] ?? SERVED) !== SERVED)
    .flatMap((tensor) => coded?.partsOf(tensor) ?? []);
  if (parts.length === 0) return;
  const byName = new Map(parts.map((part) => [part.name, part]));
  await writeSafetensors(join(dir, ORIGINALS_FILE), parts, (name) => byName.get(name)!.read()); // one for each spec
}

/**
 * A tensor's values as float32, for any storage type. A GGUF file and its float32 checkpoint are therefore one model.
 */
function asFloat32(tensor: HostTensor): HostTensor {
  return { dtype: "float32", shape: tensor.shape, data: toFloat32(tensor) };
}

function toFloat16(name: string, tensor: HostTensor): HostTensor {
  if (tensor.dtype === "float16") return tensor;
  const half: HostTensor = { dtype: "float16", shape: tensor.shape, data: fromFloat32(toFloat32(tensor), "float16") };
  if (indexOfNonFinite(half) >= 0)
    throw new AppError(
      "checkpoint_invalid",
      `The tensor ${name} has values beyond float16's 65504. Build it with --weights float32.`,
    );
  return half;
}
