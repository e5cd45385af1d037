/**
 * A GGUF model as a checkpoint. Its configuration, tensors and tokenizer equal the files of the model that it was
 * converted from. Tensors that have no place in the model are refused by name. None is silently ignored.
 */
import { AppError } from "../../errors.ts";
import { READABLE_TYPES } from "../../formats/gguf/block-types.ts";
import { type GgufFile, openGguf } from "../../formats/gguf/gguf-file.ts";
import type { GgufTensor } from "../../formats/gguf/header.ts";
import { parseModelConfig } from "../../model/families.ts";
import type { DType } from "../../tensor/dtype.ts";
import { type HostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { type StoredTensors, resolveTensors } from "../stored-tensors.ts";
import { architectureOf } from "./architecture.ts";
import type { ConfigSource } from "./architecture-settings.ts";
import { ggufTexts } from "./checkpoint-texts.ts";
import { MetadataReader } from "./metadata-reader.ts";
import { quantizedTensors } from "./quantized-tensors.ts";
import { inHalves, joinedRows } from "./rows.ts";
import { type Recipe, type RecipePart, tensorRecipes } from "./tensor-recipes.ts";

/** Tensors that are not weights: they are read with the configuration, or repeat it. */
const FACTOR_TENSORS = /^(rope_freqs|rope_factors_(short|long)|blk\.\d+\.(attn_rot_embd|rope_freqs))(\.weight)?$/;

/** @throws {AppError} checkpoint_invalid, checkpoint_unsupported */
export async function openGgufCheckpoint(path: string): Promise<Checkpoint> {
  const file = await openGguf(path);
  try {
    return await checkpointOf(file);
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

async function checkpointOf(file: GgufFile): Promise<Checkpoint> {
  const metadata = new MetadataReader(file.path, file.metadata);
  const architecture = architectureOf(metadata);
  const rawConfig = await architecture.read(configSource(file, metadata));
  const { texts, notices, tokenIds } = ggufTexts(metadata, rawConfig, architecture.preTokenizer);
  const completed = { ...rawConfig, ...tokenIds };
  const config = parseModelConfig(completed);
  const recipes = tensorRecipes(config, architecture.isTurned, (name) => file.tensors.has(name));
  assertReadable(file);
  assertAllUsed(file, recipes, metadata);
  const stored = storedTensors(file, recipes);
  const { sources, tensors } = await resolveTensors({ ...config, tiesEmbeddings: true }, stored);
  return {
    path: file.path,
    rawConfig: completed,
    config,
    tensors,
    texts,
    notices,
    isDecoded: true,
    ...quantizedTensors(file, recipes, (name) => sources.get(name) ?? name),
    read: (name) => stored.read(sources.get(name) ?? name),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

function configSource(file: GgufFile, metadata: MetadataReader): ConfigSource {
  const tensor = (name: string): GgufTensor => {
    const found = file.tensors.get(name);
    if (found) return found;
    throw new AppError(
      "checkpoint_invalid",
      `${file.path} lacks the tensor ${name}. A file with only a vocabulary or a projector is not a model. Name the model's own file.`,
    );
  };
  return {
    metadata,
    hasTensor: (name) => file.tensors.has(name),
    shapeOf: (name) => tensor(name).shape,
    readFactors: async (name) => {
      const { shape, type } = tensor(name);
      if (shape.length !== 1 || type.dtype === null)
        throw new AppError(
          "checkpoint_invalid",
          `${file.path}: ${name} must be a list of numbers. Convert the model again.`,
        );
      return toFloat32(await file.readRows(name, 0, shape[0] ?? 0));
    },
  };
}

function assertReadable(file: GgufFile): void {
  const unread = [...file.tensors.values()].find(({ type }) => type.dtype === null);
  if (unread)
    throw new AppError(
      "checkpoint_unsupported",
      `${file.path}: the tensor ${unread.name} is ${unread.type.name}; supported: ${READABLE_TYPES.join(", ")}. Use another quantisation of the model.`,
    );
}

/** Refuses tensors that no recipe reads. Such a tensor would be a part of the model that is not computed. */
function assertAllUsed(file: GgufFile, recipes: ReadonlyMap<string, Recipe>, metadata: MetadataReader): void {
  const used = new Set([...recipes.values()].flatMap(({ parts }) => parts.map(({ tensor }) => tensor)));
  const left = [...file.tensors.keys()].find((name) => !used.has(name) && !FACTOR_TENSORS.test(name));
  if (left !== undefined)
    throw new AppError(
      "checkpoint_unsupported",
      `${file.path}: the tensor ${left} does not belong to a ${metadata.architecture} model. Use another model.`,
    );
}

/** The tensors of the file, under our names and in our layout. */
function storedTensors(file: GgufFile, recipes: ReadonlyMap<string, Recipe>): StoredTensors {
  const rowsOf = ({ tensor, rows }: RecipePart): number => {
    const all = file.tensors.get(tensor)?.shape[0] ?? 0;
    // The shape of a joined matrix shows where it differs from the configuration.
    return rows === undefined || rows.of !== all ? all : rows.count;
  };
  const dtypeOf = ({ parts, subtract }: Recipe): HostTensor["dtype"] => {
    const dtypes = new Set(parts.map(({ tensor }) => file.tensors.get(tensor)?.type.dtype));
    const [only] = dtypes;
    return subtract === 0 && dtypes.size === 1 && only ? only : "float32";
  };
  const entry = (name: string): { readonly dtype: DType; readonly shape: readonly number[] } | undefined => {
    const recipe = recipes.get(name);
    const first = recipe?.parts[0] && file.tensors.get(recipe.parts[0].tensor);
    if (!recipe || !first) return undefined;
    const rows = recipe.parts.reduce((sum, part) => sum + rowsOf(part), 0);
    return { dtype: dtypeOf(recipe), shape: [rows, ...first.shape.slice(1)] };
  };
  return {
    configuration: "its metadata",
    has: (name) => recipes.has(name),
    foreignName: (name) => recipes.get(name)?.parts[0]?.tensor ?? name,
    entry,
    read: async (name) => {
      const recipe = recipes.get(name);
      const wanted = entry(name);
      if (!recipe || !wanted) throw new Error(`internal: no tensor ${name} in ${file.path}`);
      const parts: HostTensor[] = [];
      for (const part of recipe.parts) {
        const tensor = await file.readRows(part.tensor, part.rows?.first ?? 0, rowsOf(part));
        parts.push(part.turnedHeads === undefined ? tensor : inHalves(tensor, part.turnedHeads));
      }
      return lessOne(joinedRows(parts, wanted.dtype, wanted.shape), recipe.subtract);
    },
  };
}

/** Subtracted in float32, because the converter added it in float32. */
function lessOne(tensor: HostTensor, subtract: 0 | 1): HostTensor {
  if (subtract === 0) return tensor;
  const values = toFloat32(tensor);
  for (let i = 0; i < values.length; i++) values[i]! -= 1; // i < length
  return { ...tensor, data: values };
}
