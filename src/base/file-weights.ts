/**
 * A base's tensors in files, in the form in which a graph can refer to them. Training and the probe of gates need that.
 * Tensors that a base stores in other forms are decoded into a temporary directory.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import type { TensorSource } from "../model/weights.ts";
import { BASES_FILE, type Base, WEIGHTS_FILE, tensorSource } from "./base.ts";
import { linkOrCopy } from "./link-or-copy.ts";

const DECODED_FILE = "decoded.safetensors";

export interface FileWeights extends AsyncDisposable {
  readonly source: TensorSource;
  /** The directory of the files, with the base's bases. */
  readonly dir: string;
}

/** The weights of a base that has its originals. The disposal removes the temporary directory, if there is one. */
export async function fileWeights({ dir, manifest, source }: Base): Promise<FileWeights> {
  const names = Object.keys(manifest.originals);
  if (names.length === 0) return { source, dir, [Symbol.asyncDispose]: async () => {} };
  const own = await mkdtemp(join(tmpdir(), "mosara-weights-"));
  const remove = (): Promise<void> => rm(own, { recursive: true, force: true });
  try {
    for (const name of [WEIGHTS_FILE, BASES_FILE]) await linkOrCopy(join(dir, name), join(own, name));
    const specs = names.map((name) => ({ name, dtype: "float32" as const, shape: source.stored(name).shape }));
    await writeSafetensors(join(own, DECODED_FILE), specs, (name) => source.read(name));
    const file = await openSafetensors(join(own, DECODED_FILE));
    const decoded = tensorSource(file, DECODED_FILE);
    return {
      source: {
        has: (name) => source.has(name),
        stored: (name) => (decoded.has(name) ? decoded : source).stored(name),
        read: (name) => (decoded.has(name) ? decoded : source).read(name),
      },
      dir: own,
      [Symbol.asyncDispose]: async () => {
        await file[Symbol.asyncDispose]();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
