/**
 * The original tensors of a base that was built from a quantised checkpoint or a GGUF file. They are in the form of the
 * file, or are rows of the serving graph's weights, where these have the same numbers. Each is decoded when it is read.
 */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { type DecodedFiles, decodedFiles } from "../checkpoint/quantised/decoded-files.ts";
import { SETTINGS_KEY, codecsOf } from "../checkpoint/quantised/scheme.ts";
import { tensorFiles } from "../checkpoint/tensor-files.ts";
import { decoderNamed } from "../formats/gguf/block-types.ts";
import { decodeModel } from "../formats/onnx-proto.ts";
import type { SafetensorsFile } from "../formats/safetensors.ts";
import { type ExternalPlace, externalTensors } from "../graph/serialize.ts";
import { allGroups } from "../model/linears.ts";
import type { RawConfig } from "../model/config/config-reader.ts";
import { requiredTensors } from "../model/required-tensors.ts";
import { type MatrixPart, type QuantizedLayout, dequantized, partsOf } from "../model/serve/quantized-matrix.ts";
import { LM_HEAD_GROUP, layoutOf } from "../model/serve/weight-layouts.ts";
import { quantizedPartName } from "../model/weights.ts";
import { linearWeight } from "../model/weight-names.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { type HostTensor, hostTensor, numElements, toFloat32 } from "../tensor/host-tensor.ts";
import { type Manifest, SERVED } from "./manifest.ts";

/** Rows that are decoded at once. They are in float64 then. */
const CHUNK_ROWS = 4096;

export interface Originals {
  /** The shape of a tensor that is stored in this form; undefined for all other names. */
  shapeOf(name: string): readonly number[] | undefined;
  /** float32 */
  read(name: string): Promise<HostTensor>;
}

/**
 * @param graphPath the serving graph. @param coded the tensors in the form of the file; null where there are none
 * @throws {AppError} base_invalid
 */
export function originalsOf(
  dir: string,
  graphPath: string,
  { config, layouts, originals, quantization }: OriginalsManifest,
  coded: SafetensorsFile | null,
): Originals {
  const shapes = new Map(requiredTensors(config, true).map(({ name, shape }) => [name, shape]));
  let places: Promise<ReadonlyMap<string, ExternalPlace>> | null = null;
  let decoded: Promise<DecodedFiles | null> | null = null;
  const served = async (name: string, shape: readonly number[]): Promise<Float32Array> => {
    const { group, firstRow } = placeOfTensor(config, name);
    if (layouts === null) throw new Error(`internal: ${name} is not quantised`);
    places ??= readFile(graphPath).then((bytes) => externalTensors(decodeModel(bytes)));
    return await servedRows(dir, await places, { group, firstRow, shape, layout: layoutOf(layouts, group) });
  };
  return {
    shapeOf: (name) => (name in originals ? shapes.get(name) : undefined),
    read: async (name) => {
      const shape = shapes.get(name) ?? [];
      const home = originals[name] ?? "";
      if (home === SERVED) return hostTensor("float32", shape, await served(name, shape));
      const decode = decoderNamed(home);
      const files = coded && quantization ? await (decoded ??= decodedParts(coded, quantization)) : null;
      if (files?.weight(name)) return await files.read(name);
      if (!decode || !coded)
        throw new AppError("base_invalid", `${dir}: ${name} is stored as ${home}, which is unknown. Build it again.`);
      const values = new Float32Array(numElements(shape));
      decode((await coded.read(name)).data as Uint8Array, values, 0); // the builder writes bytes
      return hostTensor("float32", shape, values);
    },
  };
}

type OriginalsManifest = Pick<Manifest, "config" | "layouts" | "originals" | "quantization">;

/** The weights whose parts a file holds under our names. */
async function decodedParts(coded: SafetensorsFile, settings: RawConfig): Promise<DecodedFiles | null> {
  return await decodedFiles(tensorFiles([coded]), codecsOf({ [SETTINGS_KEY]: settings }) ?? []);
}

/** The group of the serving graph that a matrix is a part of, and its first row there. */
function placeOfTensor(config: Manifest["config"], tensor: string): { group: string; firstRow: number } {
  for (const { name: group, members } of allGroups(config)) {
    let firstRow = 0;
    for (const { name, dOut } of members) {
      if (linearWeight(name) === tensor) return { group, firstRow };
      firstRow += dOut;
    }
  }
  return { group: LM_HEAD_GROUP, firstRow: 0 };
}

interface ServedMatrix {
  readonly group: string;
  readonly firstRow: number;
  readonly shape: readonly number[];
  readonly layout: QuantizedLayout;
}

async function servedRows(
  dir: string,
  places: ReadonlyMap<string, ExternalPlace>,
  { group, firstRow, shape, layout }: ServedMatrix,
): Promise<Float32Array> {
  const [numRows = 0, dIn = 0] = shape;
  const values = new Float32Array(numRows * dIn);
  await using files = new OpenFiles(dir);
  const read = async (part: MatrixPart, row: number, count: number): Promise<Uint8Array> => {
    const place = places.get(quantizedPartName(group, layout, part));
    if (!place) throw new AppError("base_invalid", `${dir}: its graph lacks the ${part} of ${group}. Build it again.`);
    return await files.readRows(place, partRowBytes(layout, part, dIn), row, count);
  };
  for (let row = 0; row < numRows; row += CHUNK_ROWS) {
    const count = Math.min(CHUNK_ROWS, numRows - row);
    const parts = new Map<MatrixPart, Uint8Array>();
    for (const part of partsOf(layout)) parts.set(part, await read(part, firstRow + row, count));
    const numbers = (part: MatrixPart): Float32Array | null => {
      const bytes = parts.get(part);
      if (!bytes) return null;
      const data = new DTYPES[layout.scaleType].array(bytes.slice().buffer);
      return toFloat32(hostTensor(layout.scaleType, [data.length], data));
    };
    const [packed, scales] = [parts.get("packed")!, numbers("scales")!]; // every layout has them
    const matrix = { layout, dOut: count, dIn, packed, scales, minimums: numbers("minimums") };
    values.set(dequantized({ ...matrix, zeroPoints: parts.get("zeroPoints") ?? null }), row * dIn);
  }
  return values;
}

function partRowBytes({ bits, blockSize, scaleType }: QuantizedLayout, part: MatrixPart, dIn: number): number {
  const numBlocks = Math.ceil(dIn / blockSize);
  if (part === "packed") return (numBlocks * blockSize * bits) / 8;
  if (part === "zeroPoints") return Math.ceil((numBlocks * bits) / 8);
  return numBlocks * (scaleType === "float16" ? 2 : 4);
}

/** Files of a directory, each opened once. */
class OpenFiles implements AsyncDisposable {
  readonly #dir: string;
  readonly #files = new Map<string, FileHandle>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  async readRows({ location, offset }: ExternalPlace, rowBytes: number, row: number, count: number) {
    const file = this.#files.get(location) ?? (await open(join(this.#dir, location)));
    this.#files.set(location, file);
    const bytes = new Uint8Array(count * rowBytes);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset + row * rowBytes);
    if (bytesRead === bytes.length) return bytes;
    throw new AppError("base_invalid", `${join(this.#dir, location)} is cut off. Build the base again.`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }
}
