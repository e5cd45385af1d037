/**
 * A checked checkpoint: a Hugging Face directory (config.json, safetensors in one file or in shards with an index) or a
 * GGUF file. It offers the tensors that the model needs, under our names and in our layout. If embedding and head are
 * one matrix, they are one tensor. Never reads a pickle.
 */
import { existsSync } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { AppError, quote } from "../errors.ts";
import { isGgufFile } from "../formats/gguf/gguf-file.ts";
import { type SafetensorsFile, openSafetensors } from "../formats/safetensors.ts";
import type { TensorSpec } from "../formats/safetensors-writer.ts";
import type { RawConfig } from "../model/config/config-reader.ts";
import { foreignNames, parseModelConfig } from "../model/families.ts";
import type { ModelConfig } from "../model/config/model-config.ts";
import type { QuantizedLayout, QuantizedMatrix } from "../model/serve/quantized-matrix.ts";
import { type HostTensor, transposed } from "../tensor/host-tensor.ts";
import { listCheckpointTexts } from "./checkpoint-files.ts";
import { openGgufCheckpoint } from "./gguf/open-gguf-checkpoint.ts";
import { assertNotQuantised, quantisationOf, quantised } from "./quantisation.ts";
import { decodedFiles } from "./quantised/decoded-files.ts";
import { assertQuantisedFamily, codedTensors, decodedTexts, keptNumbers } from "./quantised/quantised-checkpoint.ts";
import { SETTINGS_KEY, activationNotice, codecsOf } from "./quantised/scheme.ts";
import { type TensorFiles, tensorFiles } from "./tensor-files.ts";
import { TEXT_PART_NOTICE, type TextPart, textPartOf } from "./text-part.ts";
import { unmergedAdvice, unusedTensorsNotice } from "./unused-tensors.ts";
import { type CheckpointTensor, type StoredTensors, resolveTensors } from "./stored-tensors.ts";

const INDEX_FILE = "model.safetensors.index.json";
const SINGLE_FILE = "model.safetensors";
/** Configuration, tokenizer and chat template by file name. Each is made or read when a caller asks for it. */
export type CheckpointTexts = ReadonlyMap<string, () => Promise<string | Uint8Array>>;

/** The levels and scales of tensors that were quantised before. */
export interface QuantizedTensors {
  /** The name of a tensor's blocks, such as Q6_K; null where it has none. */
  typeOf(name: string): string | null;
  /** The layout that holds a tensor's numbers unchanged; null where no layout exists for its blocks. */
  layoutOf(name: string): QuantizedLayout | null;
  /** A tensor that has a layout. */
  read(name: string): Promise<QuantizedMatrix>;
}

/** A tensor of a file that is a quantised tensor of the model, or a part of it. */
export interface CodedPart extends TensorSpec {
  read(): Promise<HostTensor>;
}

/** Quantised tensors in the form of the checkpoint's own files, which a base stores unchanged. */
export interface CodedTensors {
  /** The type of a tensor's numbers, such as Q6_K or "FP8"; null where it has none, or not only this type. */
  typeOf(name: string): string | null;
  /**
   * The parts of a tensor that has a type. Their names begin with the tensor's. A GGUF file has one: its blocks, uint8
   * [rows, bytes of a row], rows in our order.
   */
  partsOf(tensor: Pick<CheckpointTensor, "name" | "shape">): readonly CodedPart[];
  /** The settings by which the parts are decoded, as config.json has them; null for blocks of a GGUF file. */
  readonly settings: RawConfig | null;
}

export interface Checkpoint extends AsyncDisposable {
  /** The directory, or the (first) GGUF file. */
  readonly path: string;
  readonly rawConfig: RawConfig;
  readonly config: ModelConfig;
  /** All tensors of the model in a fixed order; none is missing and none is superfluous. */
  readonly tensors: readonly CheckpointTensor[];
  readonly texts: CheckpointTexts;
  /** Notices for the user before a base is built. */
  readonly notices: readonly string[];
  /** Whether the tensors are decoded from another form. The model is then identified by their float32 values. */
  readonly isDecoded: boolean;
  /** null where no tensor was quantised before. */
  readonly quantized: QuantizedTensors | null;
  /** null where no tensor was quantised before. */
  readonly coded: CodedTensors | null;
  read(name: string): Promise<HostTensor>;
}

function invalid(message: string, cause?: unknown): AppError {
  return new AppError("checkpoint_invalid", message, cause === undefined ? {} : { cause });
}

/** A JSON object from a file of the checkpoint. @throws {AppError} checkpoint_invalid */
export async function readJsonObject(path: string): Promise<RawConfig> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw invalid(`${path} cannot be read as JSON: ${(cause as Error).message}`, cause);
  });
  return parseJsonObject(text, path);
}

/** @param what name of the text in messages. @throws {AppError} checkpoint_invalid */
function parseJsonObject(text: string | Uint8Array, what: string): RawConfig {
  let value: unknown;
  try {
    value = JSON.parse(typeof text === "string" ? text : Buffer.from(text).toString("utf8"));
  } catch (cause) {
    throw invalid(`${what} cannot be read as JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`${what} must be a JSON object.`);
  return value as RawConfig;
}

/** File names of the shards. Each must be in the checkpoint's own directory. */
async function shardNames(dir: string): Promise<readonly string[]> {
  // transformers decides the same way where both exist.
  if (existsSync(join(dir, SINGLE_FILE))) return [SINGLE_FILE];
  if (!existsSync(join(dir, INDEX_FILE)))
    throw invalid(
      `${dir} has neither ${SINGLE_FILE} nor ${INDEX_FILE}. Other formats (.bin, .pt) are never read: convert them to safetensors.${await ggufWay(dir)}`,
    );
  const index = await readJsonObject(join(dir, INDEX_FILE));
  const map = index.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    throw invalid(`${INDEX_FILE}: weight_map must be an object.`);
  const names = [...new Set<unknown>(Object.values(map))];
  for (const name of names)
    if (typeof name !== "string" || !/^[\w.-]+$/.test(name) || name.includes(".."))
      throw invalid(`${INDEX_FILE}: ${quote(name)} is not the name of a file in the checkpoint's directory.`);
  return (names as string[]).sort();
}

/**
 * Opens a checkpoint and checks that every tensor is there in the right shape.
 * @throws {AppError} checkpoint_invalid, checkpoint_unsupported
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const found = await stat(path).catch((cause: unknown) => {
    throw invalid(`${path} is not a checkpoint: it cannot be found.`, cause);
  });
  if (found.isDirectory()) return await openDirectory(path);
  if (found.isFile() && (await isGgufFile(path))) return await openGgufCheckpoint(path);
  throw invalid(
    `${path} is not a checkpoint: it is neither a directory nor a GGUF file. Name a checkpoint directory or a GGUF file.`,
  );
}

async function openDirectory(dir: string): Promise<Checkpoint> {
  const configPath = join(dir, "config.json");
  if (!existsSync(configPath)) throw invalid(`${dir} is not a checkpoint: it has no config.json.${await ggufWay(dir)}`);
  const storedConfig = await readJsonObject(configPath);
  const codecs = codecsOf(storedConfig);
  const textPart = textPartOf(storedConfig);
  const { [SETTINGS_KEY]: _, ...rawConfig } = textPart?.config ?? storedConfig;
  const config = parseModelConfig(rawConfig);
  if (codecs) assertQuantisedFamily(config);
  const files: SafetensorsFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file[Symbol.asyncDispose]();
  };
  try {
    for (const name of await shardNames(dir)) files.push(await openSafetensors(join(dir, name)));
    const original = textPart?.files(tensorFiles(files)) ?? tensorFiles(files);
    const decoded = codecs && (await decodedFiles(original, codecs));
    const byName = decoded ?? original;
    const stored = storedTensors(config, byName);
    await assertNotQuantised(dir, storedConfig, byName.names());
    const { sources, tensors } = await resolveTensors(config, stored).catch(async (error: unknown) => {
      throw decoded ? error : await explained(error, dir, storedConfig, files);
    });
    const sourceOf = (name: string): string => sources.get(name) ?? name;
    const nameOf = (name: string): string => stored.nameOf(sourceOf(name));
    const unused = unusedTensorsNotice(byName.names(), new Set(tensors.map(({ name }) => nameOf(name))));
    return {
      path: dir,
      rawConfig,
      config,
      tensors,
      texts: decoded ? decodedTexts(await textsOf(dir, textPart)) : await textsOf(dir, textPart),
      notices: [textPart && TEXT_PART_NOTICE, unused, decoded && activationNotice(storedConfig)].filter(
        (notice) => notice !== null,
      ),
      isDecoded: decoded !== null,
      quantized: decoded && keptNumbers(decoded, nameOf),
      coded: decoded && codedTensors(decoded, nameOf, storedConfig[SETTINGS_KEY] as RawConfig), // it gave the codecs
      read: (name) => stored.read(sourceOf(name)),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The names that an embedding may have in a checkpoint. */
const USUAL_EMBEDDING = /^((model\.){0,2}|transformer\.)(embed_tokens|wte)\.weight$/;

/** The reason why tensors are missing or have other shapes and types, where other files of the checkpoint state it. */
async function explained(
  error: unknown,
  dir: string,
  rawConfig: RawConfig,
  files: readonly SafetensorsFile[],
): Promise<unknown> {
  if (!(error instanceof AppError)) return error;
  const unreadable = files.flatMap((file) => [...file.unreadable]);
  const names = files.flatMap(({ tensors }) => [...tensors.keys()]).concat(unreadable.map(([name]) => name));
  const types = unreadable.map(([, { storedType }]) => storedType);
  const quantisation = await quantisationOf(dir, rawConfig, names, types);
  if (quantisation !== null) return quantised(dir, quantisation, error);
  const advice = unmergedAdvice(names);
  if (advice !== "") return invalid(`${error.message}${advice}`, error);
  const odd = names.find((name) => /(^|[._])(embed_tokens|wte)\.weight$/.test(name) && !USUAL_EMBEDDING.test(name));
  if (error.code !== "checkpoint_invalid" || odd === undefined) return error;
  return invalid(
    `${error.message} Its embedding is named ${odd}, but names may only have the prefix "model." or none.`,
    error,
  );
}

/** Users download directories of several GGUF files. Each file is a model of its own. */
async function ggufWay(dir: string): Promise<string> {
  const gguf = (await readdir(dir)).find((name) => name.endsWith(".gguf"));
  return gguf === undefined ? "" : ` Name one of its GGUF files, such as ${join(dir, gguf)}.`;
}

async function textsOf(dir: string, textPart: TextPart | null): Promise<CheckpointTexts> {
  const texts = (await listCheckpointTexts(dir)).map((path) => [path, () => readFile(join(dir, path))] as const);
  if (!textPart) return new Map(texts);
  const config = async (): Promise<string> => textPart.configText(await readFile(join(dir, "config.json"), "utf8"));
  return new Map<string, () => Promise<string | Uint8Array>>([...texts, ["config.json", config]]);
}

function storedTensors(config: ModelConfig, files: TensorFiles): StoredTensors & { nameOf(name: string): string } {
  const { namesOf, isTransposed } = foreignNames(config);
  const stored = (name: string): string | undefined => {
    const [found, other] = namesOf(name)
      .flatMap(prefixes)
      .filter((one) => files.has(one));
    if (other !== undefined) throw invalid(`The tensor ${found} is stored twice: under this name and as ${other}.`);
    return found;
  };
  return {
    configuration: "config.json",
    nameOf: (name) => stored(name) ?? name,
    has: (name) => stored(name) !== undefined,
    foreignName: (name) => namesOf(name)[0] ?? name,
    entry: (name) => {
      const foreign = stored(name);
      const entry = foreign === undefined ? undefined : files.entry(foreign);
      return entry && isTransposed(name) ? { dtype: entry.dtype, shape: entry.shape.toReversed() } : entry;
    },
    read: async (name) => {
      const foreign = stored(name);
      if (foreign === undefined) throw new Error(`internal: no tensor ${name} in the checkpoint`);
      const tensor = await files.read(foreign);
      return isTransposed(name) ? transposed(tensor) : tensor;
    },
  };
}

/**
 * If only the backbone was saved, its names lack "model.". Some exports have "model." twice. transformers loads both.
 */
function prefixes(name: string): readonly string[] {
  return name.startsWith("model.") ? [name, name.slice("model.".length), `model.${name}`] : [name];
}
