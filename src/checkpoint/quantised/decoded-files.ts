/**
 * Shows a quantised checkpoint as an ordinary one. The parts of each quantised weight are hidden, and `<module>.weight`
 * is decoded to float32 when it is read. Tensors alone decide which weights are quantised, because
 * configurations name the exceptions in several ways. One weight is in memory at a time.
 */
import type { TensorSpec } from "../../formats/safetensors-writer.ts";
import { isDType } from "../../tensor/dtype.ts";
import type { HostTensor } from "../../tensor/host-tensor.ts";
import type { TensorFiles } from "../tensor-files.ts";
import type { CodedWeight, WeightCodec } from "./coded-weight.ts";

export interface DecodedFiles extends TensorFiles {
  /** A quantised weight by the name of its tensor; undefined for tensors that are stored as they are. */
  weight(name: string): CodedWeight | undefined;
  /** The file's tensors that are this quantised weight; none for other tensors. */
  partsOf(name: string): readonly WeightPart[];
}

/** A tensor of the file that belongs to a quantised weight. */
export interface WeightPart extends Omit<TensorSpec, "name"> {
  /** The end of its name, after the name of the module. */
  readonly ending: string;
  read(): Promise<HostTensor>;
}

/** null where no weight is quantised. @throws {AppError} checkpoint_invalid, checkpoint_unsupported */
export async function decodedFiles(files: TensorFiles, codecs: readonly WeightCodec[]): Promise<DecodedFiles | null> {
  const weights = new Map<string, CodedWeight>();
  const partsOf = new Map<string, readonly WeightPart[]>();
  const parts = new Set<string>();
  for (const { marker, parts: endings, accepts, open } of codecs)
    for (const name of files.names().filter((one) => one.endsWith(marker))) {
      const module = name.slice(0, -marker.length);
      if (!accepts(module, files)) continue;
      weights.set(`${module}.weight`, await open(module, files));
      partsOf.set(
        `${module}.weight`,
        endings.flatMap((ending) => weightPart(files, module, ending) ?? []),
      );
      for (const ending of endings) parts.add(module + ending);
    }
  if (weights.size === 0) return null;
  const isStored = (name: string): boolean => files.has(name) && !parts.has(name);
  return {
    weight: (name) => weights.get(name),
    partsOf: (name) => partsOf.get(name) ?? [],
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

function weightPart(files: TensorFiles, module: string, ending: string): WeightPart | null {
  const name = module + ending;
  const entry = files.entry(name);
  if (!entry) return null;
  const { dtype, shape } = entry;
  if (isDType(dtype)) return { ending, dtype, shape, read: () => files.read(name) };
  // The other types of such weights have elements of one byte.
  const read = async (): Promise<HostTensor> => ({ dtype: "uint8", shape, data: await files.readBytes(name) });
  return { ending, dtype: "uint8", storedType: dtype, shape, read };
}
