/** The tensors of a checkpoint's safetensors files under the files' own names, whichever file each is in. */
import { AppError } from "../errors.ts";
import type { SafetensorsFile } from "../formats/safetensors.ts";
import { type HostTensor, numElements } from "../tensor/host-tensor.ts";
import type { StoredEntry } from "./stored-tensors.ts";

export interface TensorFiles {
  names(): readonly string[];
  has(name: string): boolean;
  entry(name: string): StoredEntry | undefined;
  /** @throws {AppError} checkpoint_unsupported for an element type that is not a `DType` */
  read(name: string): Promise<HostTensor>;
  /** A tensor of any type whose elements have one byte. */
  readBytes(name: string): Promise<Uint8Array>;
}

/** @throws {AppError} checkpoint_invalid where two files hold one name */
export function tensorFiles(files: readonly SafetensorsFile[]): TensorFiles {
  const homes = new Map<string, SafetensorsFile>();
  for (const file of files)
    for (const name of [...file.tensors.keys(), ...file.unreadable.keys()]) {
      if (homes.has(name))
        throw new AppError(
          "checkpoint_invalid",
          `The tensor ${name} is stored twice: in ${homes.get(name)?.path} and ${file.path}.`,
        );
      homes.set(name, file);
    }
  const home = (name: string): SafetensorsFile => {
    const file = homes.get(name);
    if (!file) throw new Error(`internal: no tensor ${name} in the checkpoint`);
    return file;
  };
  return {
    names: () => [...homes.keys()],
    has: (name) => homes.has(name),
    entry: (name) => {
      const file = homes.get(name);
      const unreadable = file?.unreadable.get(name);
      return unreadable ? { dtype: unreadable.storedType, shape: unreadable.shape } : file?.tensors.get(name);
    },
    read: (name) => home(name).read(name),
    readBytes: (name) => {
      const file = home(name);
      const { shape } = file.tensors.get(name) ?? file.unreadable.get(name) ?? { shape: [0] };
      return file.readBytes(name, 0, numElements(shape));
    },
  };
}
