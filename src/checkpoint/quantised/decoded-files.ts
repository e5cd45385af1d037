/**
 * The tensors of a quantised checkpoint as if it were not: the parts of each quantised weight disappear, and
 * `<module>.weight` is decoded to float32 when it is read. Tensors alone decide which weights are quantised, because
 * configurations name the exceptions in several ways. One weight is in memory at a time.
 */
import type { HostTensor } from "../../tensor/host-tensor.ts";
import type { TensorFiles } from "../tensor-files.ts";
import type { CodedWeight, WeightCodec } from "./coded-weight.ts";

export interface DecodedFiles extends TensorFiles {
  /** A quantised weight by the name of its tensor; undefined for tensors that are stored as they are. */
  weight(name: string): CodedWeight | undefined;
}

/** null where no weight is quantised. @throws {AppError} checkpoint_invalid, checkpoint_unsupported */
export async function decodedFiles(files: TensorFiles, codecs: readonly WeightCodec[]): Promise<DecodedFiles | null> {
  const weights = new Map<string, CodedWeight>();
  const parts = new Set<string>();
  for (const { marker, parts: endings, accepts, open } of codecs)
    for (const name of files.names().filter((one) => one.endsWith(marker))) {
      const module = name.slice(0, -marker.length);
      if (!accepts(module, files)) continue;
      weights.set(`${module}.weight`, await open(module, files));
      for (const ending of endings) parts.add(module + ending);
    }
  if (weights.size === 0) return null;
  const isStored = (name: string): boolean => files.has(name) && !parts.has(name);
  return {
    weight: (name) => weights.get(name),
    names: () => [...weights.keys(), ...files.names().filter((name) => !parts.has(name))],
    has: (name) => weights.has(name) || isStored(name),
    entry: (name) => {
      const weight = weights.get(name);
      if (weight) return { dtype: "float32", shape: weight.shape };
      return isStored(name) ? files.entry(name) : undefined;
    },
    read: async (name): Promise<HostTensor> => {
      const weight = weights.get(name);
      if (!weight) return await files.read(name);
      return { dtype: "float32", shape: weight.shape, data: await weight.decode() };
    },
    readBytes: (name) => files.readBytes(name),
  };
}
