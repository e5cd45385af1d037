/**
 * Writes .safetensors files of any size: the header from the specs, then one tensor at a time, so only one is ever in
 * memory. Knows nothing of the source of tensors. The file gets its name only when it is complete. Source: the "Format"
 * section of the safetensors README. The order of tensors is that of its own serializer (widest elements first).
 */
import type { FileHandle } from "node:fs/promises";
import { replaceFile } from "../replace-file.ts";
import { type DType, bytesPerElement } from "../tensor/dtype.ts";
import { type HostTensor, bytesOf, numElements } from "../tensor/host-tensor.ts";
import { MAX_HEADER_BYTES, type TensorEntry } from "./safetensors.ts";
import { SAFETENSORS_DTYPES } from "./safetensors-types.ts";

/** The description of a tensor whose values do not exist yet. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /**
   * The format's name of an element type that is not a `DType`, such as F8_E4M3. Its values are bytes, so `dtype` is
   * uint8.
   */
  readonly storedType?: string;
}

const FOREIGN_DTYPES = new Map(Object.entries(SAFETENSORS_DTYPES).map(([foreign, dtype]) => [dtype, foreign]));
const MAX_WRITE_BYTES = 2 ** 30;

/** Header bytes (length prefix included) and the place of every tensor, in file order. */
function layOut(specs: readonly TensorSpec[], metadata: Readonly<Record<string, string>> | undefined) {
  // Widest elements first: with a header padded to 8 bytes every tensor is then aligned to its element.
  const ordered = [...specs].sort((a, b) => bytesPerElement(b.dtype) - bytesPerElement(a.dtype));
  const fields: [string, unknown][] = metadata === undefined ? [] : [["__metadata__", metadata]];
  const ranges = new Map<string, TensorEntry>();
  let end = 0;
  for (const { name, dtype, shape, storedType } of ordered) {
    if (name === "__metadata__" || ranges.has(name)) throw new Error(`internal: tensor name "${name}" is taken`);
    const byteLength = numElements(shape) * bytesPerElement(dtype);
    ranges.set(name, { dtype, shape, byteOffset: end, byteLength });
    fields.push([
      name,
      { dtype: storedType ?? FOREIGN_DTYPES.get(dtype), shape, data_offsets: [end, end + byteLength] },
    ]);
    end += byteLength;
  }
  if (!Number.isSafeInteger(end)) throw new Error("internal: a safetensors file of impossible size");
  const json = Buffer.from(JSON.stringify(Object.fromEntries(fields)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  if (header.length - 8 > MAX_HEADER_BYTES) throw new Error("internal: a safetensors header over 100 MB");
  header.writeBigUInt64LE(BigInt(header.length - 8));
  header.set(json, 8);
  const entries = new Map<string, TensorEntry>();
  for (const [name, entry] of ranges) entries.set(name, { ...entry, byteOffset: entry.byteOffset + header.length });
  return { header, entries };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.byteLength - done, MAX_WRITE_BYTES));
    done += bytesWritten;
  }
}

function isSameSpec(tensor: HostTensor, entry: TensorEntry): boolean {
  return tensor.dtype === entry.dtype && tensor.shape.join() === entry.shape.join();
}

/**
 * Writes `specs` to `path`, replacing an existing file, and returns the place of every tensor (bytes from the start of
 * the file). `load` is called once for each tensor, in file order: widest elements first, else as given. Equal input
 * gives equal bytes.
 * @param isSynced false for a file that may be lost with the machine's power
 * @throws every error of `load` or the file system; then nothing is left behind, and an old file is unchanged.
 */
export async function writeSafetensors(
  path: string,
  specs: readonly TensorSpec[],
  load: (name: string) => Promise<HostTensor>,
  metadata?: Readonly<Record<string, string>>,
  isSynced = true,
): Promise<ReadonlyMap<string, TensorEntry>> {
  const { header, entries } = layOut(specs, metadata);
  const fill = async (file: FileHandle): Promise<void> => {
    await writeAll(file, header);
    for (const [name, entry] of entries) {
      const tensor = await load(name);
      if (!isSameSpec(tensor, entry))
        throw new Error(
          `internal: ${path}: tensor "${name}" was announced as ${entry.dtype} [${entry.shape.join()}], ` +
            `loaded was ${tensor.dtype} [${tensor.shape.join()}]`,
        );
      await writeAll(file, bytesOf(tensor));
    }
  };
  await replaceFile(path, fill, { isSynced });
  return entries;
}
