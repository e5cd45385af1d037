/**
 * An ordinary Hugging Face checkpoint directory, checked: config.json, safetensors (one file, or shards with an index).
 * Gives the tensors that the model needs under our names and in our layout; embedding and head that are one matrix are one tensor.
 * Never reads a pickle.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { type SafetensorsFile, openSafetensors } from "../formats/safetensors.ts";
import type { RawConfig } from "../model/config/config-reader.ts";
import { foreignNames, parseModelConfig } from "../model/families.ts";
import type { ModelConfig } from "../model/config/model-config.ts";
import { type RequiredTensor, requiredTensors } from "../model/required-tensors.ts";
import { EMBEDDING, LM_HEAD } from "../model/weight-names.ts";
import type { DType } from "../tensor/dtype.ts";
import { type HostTensor, bytesOf, transposed } from "../tensor/host-tensor.ts";

const INDEX_FILE = "model.safetensors.index.json";
const SINGLE_FILE = "model.safetensors";
const FLOAT_DTYPES: readonly DType[] = ["float32", "float16", "bfloat16"];

export interface CheckpointTensor extends RequiredTensor {
  readonly dtype: DType;
}

export interface Checkpoint extends AsyncDisposable {
  readonly dir: string;
  readonly rawConfig: RawConfig;
  readonly config: ModelConfig;
  /** All tensors of the model in a fixed order; none is left over, none is missing. */
  readonly tensors: readonly CheckpointTensor[];
  read(name: string): Promise<HostTensor>;
}

function invalid(message: string, cause?: unknown): AppError {
  return new AppError("checkpoint_invalid", message, cause === undefined ? {} : { cause });
}

/** A JSON object from a file of the checkpoint. @throws {AppError} checkpoint_invalid */
export async function readJsonObject(path: string): Promise<RawConfig> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw invalid(`${path} cannot be read as JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`${path} has to hold a JSON object.`);
  return value as RawConfig;
}

/** File names of the shards; each has to lie in the directory itself. */
async function shardNames(dir: string): Promise<readonly string[]> {
  // As transformers decides where both are there.
  if (existsSync(join(dir, SINGLE_FILE))) return [SINGLE_FILE];
  if (!existsSync(join(dir, INDEX_FILE)))
    throw invalid(
      `${dir} has neither ${SINGLE_FILE} nor ${INDEX_FILE}. Other formats (.bin, .pt) are never read: convert them to safetensors.`,
    );
  const index = await readJsonObject(join(dir, INDEX_FILE));
  const map = index.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    throw invalid(`${INDEX_FILE}: weight_map has to be an object.`);
  const names = [...new Set<unknown>(Object.values(map))];
  for (const name of names)
    if (typeof name !== "string" || !/^[\w.-]+$/.test(name) || name.includes(".."))
      throw invalid(`${INDEX_FILE}: ${JSON.stringify(name)} is not the name of a file in the checkpoint's directory.`);
  return (names as string[]).sort();
}

/** Opens a checkpoint and checks that every tensor is there in the right shape. @throws {AppError} checkpoint_invalid, checkpoint_unsupported */
export async function openCheckpoint(dir: string): Promise<Checkpoint> {
  const configPath = join(dir, "config.json");
  if (!existsSync(configPath)) throw invalid(`${dir} is no checkpoint: it has no config.json.`);
  const rawConfig = await readJsonObject(configPath);
  const config = parseModelConfig(rawConfig);
  const files: SafetensorsFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file[Symbol.asyncDispose]();
  };
  try {
    for (const name of await shardNames(dir)) files.push(await openSafetensors(join(dir, name)));
    const stored = storedTensors(config, tensorHomes(files));
    const { sources, tensors } = await resolveTensors(config, stored);
    const read = (name: string): Promise<HostTensor> => stored.read(sources.get(name) ?? name);
    return { dir, rawConfig, config, tensors, read, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Homes = ReadonlyMap<string, SafetensorsFile>;

function tensorHomes(files: readonly SafetensorsFile[]): Homes {
  const homes = new Map<string, SafetensorsFile>();
  for (const file of files)
    for (const name of file.tensors.keys()) {
      if (homes.has(name))
        throw invalid(`The tensor ${name} is stored twice: in ${homes.get(name)?.path} and ${file.path}.`);
      homes.set(name, file);
    }
  return homes;
}

/** What the files hold, under our names and in our layout. */
interface StoredTensors {
  has(name: string): boolean;
  /** Shape as ours; undefined when there is none of that name. */
  entry(name: string): { readonly dtype: DType; readonly shape: readonly number[] } | undefined;
  read(name: string): Promise<HostTensor>;
}

function storedTensors(config: ModelConfig, homes: Homes): StoredTensors {
  const { namesOf, isTransposed } = foreignNames(config);
  const stored = (name: string): string | undefined => namesOf(name).find((one) => homes.has(one));
  return {
    has: (name) => stored(name) !== undefined,
    entry: (name) => {
      const foreign = stored(name);
      const entry = foreign === undefined ? undefined : homes.get(foreign)?.tensors.get(foreign);
      return entry && isTransposed(name) ? { dtype: entry.dtype, shape: entry.shape.toReversed() } : entry;
    },
    read: async (name) => {
      const foreign = stored(name);
      const home = foreign === undefined ? undefined : homes.get(foreign);
      if (foreign === undefined || !home) throw new Error(`internal: no tensor ${name} in the checkpoint`);
      const tensor = await home.read(foreign);
      return isTransposed(name) ? transposed(tensor) : tensor;
    },
  };
}

/** The model's tensors and, where an embedding is stored as the head, the name behind it. */
async function resolveTensors(
  config: ModelConfig,
  stored: StoredTensors,
): Promise<{ sources: Map<string, string>; tensors: CheckpointTensor[] }> {
  const sources = new Map<string, string>();
  const hasOwnHead = await ownHead(config, stored, sources);
  const tensors = requiredTensors(config, hasOwnHead).map((wanted): CheckpointTensor => {
    const entry = stored.entry(sources.get(wanted.name) ?? wanted.name);
    const [foreign] = foreignNames(config).namesOf(wanted.name);
    if (!entry) throw invalid(`The checkpoint lacks the tensor ${foreign} [${wanted.shape.join(",")}].`);
    if (entry.shape.join() !== wanted.shape.join())
      throw invalid(
        `The tensor ${foreign} has to be [${wanted.shape.join(",")}] by config.json, is stored as [${entry.shape.join(",")}].`,
      );
    if (!FLOAT_DTYPES.includes(entry.dtype))
      throw new AppError(
        "checkpoint_unsupported",
        `The tensor ${foreign} is ${entry.dtype}; supported: ${FLOAT_DTYPES.join(", ")}.`,
      );
    return { ...wanted, dtype: entry.dtype };
  });
  return { sources, tensors };
}

/**
 * Whether the LM head is a matrix of its own, as transformers 5 decides: tied means one matrix, whichever of the two is stored;
 * both stored and different are not tied, whatever the config says.
 */
async function ownHead(config: ModelConfig, stored: StoredTensors, sources: Map<string, string>): Promise<boolean> {
  const hasHead = stored.has(LM_HEAD);
  if (!config.tiesEmbeddings) {
    if (!hasHead) throw invalid(`The checkpoint lacks ${LM_HEAD}, and config.json does not tie it to the embedding.`);
    return true;
  }
  if (!hasHead) return false;
  if (!stored.has(EMBEDDING)) {
    sources.set(EMBEDDING, LM_HEAD);
    return false;
  }
  const [embedding, head] = [await stored.read(EMBEDDING), await stored.read(LM_HEAD)];
  return embedding.dtype !== head.dtype || !sameBytes(embedding, head);
}

function sameBytes(a: HostTensor, b: HostTensor): boolean {
  return Buffer.from(bytesOf(a)).equals(bytesOf(b));
}
