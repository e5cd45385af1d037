/**
 * `mosara build`: a checkpoint becomes a base directory. Everything is written beside the destination and renamed at the end,
 * so a directory is whole or not there. Tensors stream through one at a time.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AppError } from "../errors.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { writeGraph } from "../graph/serialize.ts";
import type { RawConfig } from "../model/config-reader.ts";
import { readTokenIds } from "../model/config-reader.ts";
import { allLinears } from "../model/linears.ts";
import { type StoredBasis, buildServeGraph } from "../model/serve-graph.ts";
import { linearWeight } from "../model/weight-names.ts";
import { LM_HEAD } from "../model/weight-names.ts";
import type { WeightFormat } from "../model/weights.ts";
import { type HostTensor, fromFloat32, indexOfNonFinite, toFloat32 } from "../tensor/host-tensor.ts";
import { BASES_FILE, SERVE_GRAPH_FILE, SERVE_WEIGHTS_FILE, WEIGHTS_FILE, storedBases, tensorSource } from "./base.ts";
import { computedBases, copiedBases, writeBases } from "./build-bases.ts";
import { isCheckpointText } from "./checkpoint-files.ts";
import { type Checkpoint, type CheckpointTensor, openCheckpoint } from "./checkpoint.ts";
import { type TensorDigest, baseIdOf, tensorDigest } from "./identity.ts";
import { FORMAT_VERSION, MANIFEST_FILE, type Manifest, type ManifestTarget, type WeightKind } from "./manifest.ts";
import { type TargetChoice, chooseTargets } from "./targets.ts";

export interface BuildOptions {
  readonly weights: "auto" | WeightKind;
  /** null: 128 for int8, 32 for int4. */
  readonly blockSize: number | null;
  readonly targets: TargetChoice;
  readonly threshold: number;
  readonly maxRank: number | null;
  /** A base directory whose bases are taken over. */
  readonly basisFrom: string | null;
  /** Leave out the original weights. */
  readonly isSlim: boolean;
  readonly numThreads: number;
}

export const DEFAULT_THRESHOLD = 0.25;

export interface BuildProgress {
  readonly stage: "weights" | "bases" | "graph";
  /** 0…1 within the stage. */
  readonly done: number;
}

export interface BuildResult {
  readonly manifest: Manifest;
  /** Size of the directory. */
  readonly bytes: number;
  readonly seconds: number;
}

// Above this "auto" quantises: smaller models are fast in float32 and lose more to rounding.
const AUTO_QUANTIZE_PARAMETERS = 50_000_000;

/** @throws {AppError} checkpoint_invalid, checkpoint_unsupported, base_invalid, usage; nothing is left behind then */
export async function buildBase(
  checkpointDir: string,
  outDir: string,
  options: BuildOptions,
  onProgress: (progress: BuildProgress) => void = () => {},
): Promise<BuildResult> {
  const start = performance.now();
  const destination = resolve(outDir);
  await assertReplaceable(destination);
  await using checkpoint = await openCheckpoint(checkpointDir);
  const temporary = `${destination}.building-${process.pid}`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  try {
    const manifest = await writeParts(temporary, checkpoint, options, onProgress);
    await rm(destination, { recursive: true, force: true });
    await rename(temporary, destination);
    return { manifest, bytes: await directoryBytes(destination), seconds: (performance.now() - start) / 1000 };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** Only an absent or empty directory, or an older base, may be written over. */
async function assertReplaceable(destination: string): Promise<void> {
  if (!existsSync(destination) || existsSync(join(destination, MANIFEST_FILE))) {
    await mkdir(dirname(destination), { recursive: true });
    return;
  }
  const entries = (await stat(destination)).isDirectory() ? await readdir(destination) : ["a file"];
  if (entries.length > 0)
    throw new AppError(
      "usage",
      `--out ${destination} exists and is no base directory. Choose another place or remove it.`,
    );
}

async function writeParts(
  dir: string,
  checkpoint: Checkpoint,
  options: BuildOptions,
  onProgress: (progress: BuildProgress) => void,
): Promise<Manifest> {
  const { config } = checkpoint;
  const parameters = checkpoint.tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const weights = resolveKind(options.weights, parameters);
  const format = weightFormat(weights, options.blockSize);
  // Before the long work: a wrong name is an error at once.
  chooseTargets(config, options.targets);
  const digests = await writeWeights(dir, checkpoint, weights, options.isSlim, (done) =>
    onProgress({ stage: "weights", done }),
  );
  const baseId = baseIdOf(config, digests);
  const targets = await writeTargets(dir, checkpoint, options, baseId, (done) => onProgress({ stage: "bases", done }));
  await writeServeGraph(dir, checkpoint, format, targets, (done) => onProgress({ stage: "graph", done }));
  const quantized = format.kind === "quantized" ? format : null;
  const manifest: Manifest = {
    formatVersion: FORMAT_VERSION,
    baseId,
    architecture: architectureOf(checkpoint.rawConfig),
    config,
    weights,
    blockSize: quantized?.blockSize ?? null,
    accuracyLevel: quantized?.accuracyLevel ?? null,
    threshold: targets.length > 0 ? options.threshold : null,
    maxRank: options.maxRank,
    parameters,
    hasOriginals: !options.isSlim,
    merged: null,
    endTokenIds: [...(await endTokenIds(checkpoint))],
    targets: [...targets],
  };
  await copyTokenizerFiles(checkpoint.dir, dir);
  await writeFile(join(dir, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

function resolveKind(kind: BuildOptions["weights"], parameters: number): WeightKind {
  if (kind !== "auto") return kind;
  return parameters < AUTO_QUANTIZE_PARAMETERS ? "float32" : "int8";
}

/** How the linear layers of a base of this kind hold their weights. */
export function weightFormat(weights: WeightKind, blockSize: number | null): WeightFormat {
  if (weights === "float32" || weights === "float16") return { kind: "stored" };
  const bits = weights === "int8" ? 8 : 4;
  return { kind: "quantized", bits, blockSize: blockSize ?? (bits === 8 ? 128 : 32), accuracyLevel: 4 };
}

/** Copies the tensors into the base, checks that every value is finite, and gives the digests of what the checkpoint holds. */
async function writeWeights(
  dir: string,
  checkpoint: Checkpoint,
  weights: WeightKind,
  isSlim: boolean,
  onDone: (done: number) => void,
): Promise<readonly TensorDigest[]> {
  const digests: TensorDigest[] = [];
  const readChecked = async (name: string): Promise<HostTensor> => {
    const tensor = await checkpoint.read(name);
    if (indexOfNonFinite(tensor) >= 0)
      throw new AppError("checkpoint_invalid", `The tensor ${name} holds NaN or infinite values.`);
    digests.push(tensorDigest(name, tensor));
    onDone(digests.length / checkpoint.tensors.length);
    return weights === "float16" ? toFloat16(name, tensor) : tensor;
  };
  const isStoredInGraph = weights === "float32" || weights === "float16";
  const quantized = new Set([...allLinears(checkpoint.config).map((linear) => linearWeight(linear.name)), LM_HEAD]);
  const isKept = ({ name }: CheckpointTensor): boolean => !isSlim || isStoredInGraph || !quantized.has(name);
  const kept = checkpoint.tensors.filter(isKept);
  const specs = kept.map(({ name, shape, dtype }) => ({
    name,
    shape,
    dtype: weights === "float16" ? ("float16" as const) : dtype,
  }));
  await writeSafetensors(join(dir, WEIGHTS_FILE), specs, readChecked, { format: "pt" });
  for (const tensor of checkpoint.tensors) if (!isKept(tensor)) await readChecked(tensor.name);
  return digests;
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

async function writeTargets(
  dir: string,
  checkpoint: Checkpoint,
  options: BuildOptions,
  baseId: string,
  onDone: (done: number) => void,
): Promise<readonly ManifestTarget[]> {
  if (options.targets === "none") return [];
  const { threshold, maxRank, numThreads } = options;
  if (options.basisFrom === null) {
    const linears = chooseTargets(checkpoint.config, options.targets);
    await using bases = computedBases(checkpoint, { threshold, maxRank: maxRank ?? undefined }, numThreads);
    return await writeBases(
      dir,
      linears,
      (one) => bases.basisOf(one),
      numThreads,
      (n) => onDone(n / linears.length),
    );
  }
  await using bases = await copiedBases(options.basisFrom, baseId);
  const linears = chooseTargets(checkpoint.config, options.targets ?? bases.targetNames);
  return await writeBases(
    dir,
    linears,
    (one) => bases.basisOf(one),
    1,
    (n) => onDone(n / linears.length),
  );
}

async function writeServeGraph(
  dir: string,
  checkpoint: Checkpoint,
  format: WeightFormat,
  targets: readonly ManifestTarget[],
  onDone: (done: number) => void,
): Promise<void> {
  await using weights = await openSafetensors(join(dir, WEIGHTS_FILE));
  let bases: readonly StoredBasis[] = [];
  if (targets.length > 0) {
    await using file = await openSafetensors(join(dir, BASES_FILE));
    bases = storedBases(file, targets);
  }
  const stored = tensorSource(weights, WEIGHTS_FILE);
  const shapes = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  // A slim base holds only what the graph refers to; what is quantised into it comes from the checkpoint.
  const source = {
    has: (name: string): boolean => shapes.has(name),
    stored: (name: string) =>
      stored.has(name) ? stored.stored(name) : { ...shapes.get(name)!, location: "", offset: 0, length: 0 }, // has(name)
    read: (name: string): Promise<HostTensor> => checkpoint.read(name),
  };
  const graph = buildServeGraph({ config: checkpoint.config, source, formatOf: () => format, bases });
  const numMade = graph.weights.filter((weight) => weight.data.kind === "made").length;
  let numWritten = 0;
  await writeGraph(graph, join(dir, SERVE_GRAPH_FILE), SERVE_WEIGHTS_FILE, () => onDone(++numWritten / numMade));
}

function architectureOf(raw: RawConfig): string {
  const [first] = Array.isArray(raw.architectures) ? (raw.architectures as unknown[]) : [];
  return typeof first === "string" ? first : String(raw.model_type);
}

/** End tokens: `generation_config.json` outranks `config.json`. */
async function endTokenIds(checkpoint: Checkpoint): Promise<readonly number[]> {
  const path = join(checkpoint.dir, "generation_config.json");
  if (existsSync(path)) {
    const ids = readTokenIds(JSON.parse(await readFile(path, "utf8")) as RawConfig, "eos_token_id");
    if (ids.length > 0) return ids;
  }
  return readTokenIds(checkpoint.rawConfig, "eos_token_id");
}

async function copyTokenizerFiles(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) if (isCheckpointText(name)) await copyFile(join(from, name), join(to, name));
}

async function directoryBytes(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir)) bytes += (await stat(join(dir, name))).size;
  return bytes;
}

/** Key of a build in the cache: the checkpoint's files (name, size, time of change) and the flags. */
export async function buildCacheKey(checkpointDir: string, options: BuildOptions): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(checkpointDir)).sort()) {
    const { size, mtimeMs } = await stat(join(checkpointDir, name));
    hash.update(JSON.stringify([name, size, mtimeMs]));
  }
  const { numThreads: _, ...flags } = options;
  return hash.update(JSON.stringify(flags)).digest("hex").slice(0, 32);
}
