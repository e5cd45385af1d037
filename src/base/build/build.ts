/**
 * `mosara build`: makes a base directory from a checkpoint.
 * The build writes to a temporary directory beside the destination, and renames it at the end. A base is therefore
 * whole or absent.
 * Tensors stream through one at a time.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AppError } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import { type Linear, allLinears } from "../../model/linears.ts";
import type { ModelConfig } from "../../model/config/model-config.ts";
import { layoutOf } from "../../model/serve/weight-layouts.ts";
import { bytesPerElement } from "../../tensor/dtype.ts";
import { numElements } from "../../tensor/host-tensor.ts";
import { loadEndTokens } from "../../tokenizer/files/end-tokens.ts";
import { computedBases, copiedBases, numSvdsAtOnce, writeBases } from "./build-bases.ts";
import { writeServeGraph } from "./build-graph.ts";
import { writeWeights } from "./build-weights.ts";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/checkpoint.ts";
import { baseIdOf } from "../identity.ts";
import {
  FORMAT_VERSION,
  MANIFEST_FILE,
  OLDEST_BASES_VERSION,
  type Manifest,
  type ManifestTarget,
  readManifest,
} from "../manifest.ts";
import { finishedBases } from "./finished-bases.ts";
import { type SecondRounding, measureSecondRounding } from "./second-rounding.ts";
import { type TargetChoice, chooseTargets } from "./targets.ts";
import { tensorHomes } from "./tensor-homes.ts";
import { type WeightChoice, chooseWeights, kindOf } from "./weight-choice.ts";

export interface BuildOptions {
  readonly weights: WeightChoice;
  /** null: the default of the kind of weights, 32. */
  readonly blockSize: number | null;
  readonly targets: TargetChoice;
  readonly threshold: number;
  readonly maxRank: number | null;
  /** A base directory to copy bases from. */
  readonly basisFrom: string | null;
  /** Leave out the original weights. */
  readonly isSlim: boolean;
  readonly numThreads: number;
}

export const DEFAULT_THRESHOLD = 0.25;

export interface BuildProgress {
  readonly stage: "layouts" | "weights" | "bases" | "graph";
  /** 0…1 within the stage. */
  readonly done: number;
}

export interface BuildResult {
  readonly manifest: Manifest;
  /** null where no tensor was quantised before. */
  readonly secondRounding: SecondRounding | null;
  /** Number of bases that an earlier build had computed before it was stopped. */
  readonly numContinued: number;
  /** Size of the directory. */
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * @param finishedDir computed bases are kept here until the build ends. A later build continues with them.
 * @throws {AppError} checkpoint_invalid, checkpoint_unsupported, base_invalid, usage; only computed bases are left
 * behind then
 */
export async function buildBase(
  checkpointPath: string,
  outDir: string,
  options: BuildOptions,
  onProgress: (progress: BuildProgress) => void = () => {},
  finishedDir: string = `${resolve(outDir)}.bases`,
): Promise<BuildResult> {
  const start = performance.now();
  const destination = resolve(outDir);
  await assertReplaceable(destination);
  await using checkpoint = await openCheckpoint(checkpointPath);
  const temporary = `${destination}.building-${randomUUID()}`;
  await mkdir(temporary);
  try {
    const { manifest, numContinued } = await writeParts(temporary, checkpoint, { ...options, finishedDir }, onProgress);
    const secondRounding = await measureSecondRounding(checkpoint, manifest.layouts);
    await replaceDirectory(destination, temporary);
    await rm(finishedDir, { recursive: true, force: true });
    return {
      manifest,
      secondRounding,
      numContinued,
      bytes: await directoryBytes(destination),
      seconds: (performance.now() - start) / 1000,
    };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** Allows as the destination only an absent directory, an empty one, or a base, which the build replaces. */
async function assertReplaceable(destination: string): Promise<void> {
  if (!existsSync(destination) || existsSync(join(destination, MANIFEST_FILE))) {
    await mkdir(dirname(destination), { recursive: true });
    return;
  }
  const entries = (await stat(destination)).isDirectory() ? await readdir(destination) : ["a file"];
  if (entries.length > 0)
    throw new AppError(
      "usage",
      `--out ${destination} exists and is not a base directory. Name another directory, or remove it.`,
    );
}

/** Moves `replacement` to `destination`. The old directory is removed only when the new one is in place. */
async function replaceDirectory(destination: string, replacement: string): Promise<void> {
  if (!existsSync(destination)) return await rename(replacement, destination);
  const older = `${replacement}.older`;
  await rename(destination, older);
  try {
    await rename(replacement, destination);
  } catch (error) {
    await rename(older, destination);
    throw error;
  }
  await rm(older, { recursive: true, force: true });
}

async function writeParts(
  dir: string,
  checkpoint: Checkpoint,
  options: BuildOptions & { readonly finishedDir: string },
  onProgress: (progress: BuildProgress) => void,
): Promise<Pick<BuildResult, "manifest" | "numContinued">> {
  const { config } = checkpoint;
  const parameters = checkpoint.tensors.reduce((sum, { shape }) => sum + numElements(shape), 0);
  const weights = kindOf(options.weights, parameters);
  // These two come before the long work, so that errors in names and small files are reported at once.
  const plan = await planBases(config, options);
  const { tokens: endTokens } = await loadEndTokens(checkpoint.texts, checkpoint.path, config.vocabSize);
  const { layouts, budget } = await chooseWeights(checkpoint, weights, options, (done) =>
    onProgress({ stage: "layouts", done }),
  );
  const homes = tensorHomes(checkpoint, layouts, options.isSlim);
  const digests = await writeWeights(dir, checkpoint, weights, homes, (done) => onProgress({ stage: "weights", done }));
  const baseId = baseIdOf(config, digests);
  const weightDigests = new Map(digests.map(({ name, sha256 }) => [name, sha256]));
  const { targets, numContinued } = await writeTargets(
    dir,
    checkpoint,
    plan,
    { ...options, baseId, digests: weightDigests },
    (done) => onProgress({ stage: "bases", done }),
  );
  const { originals } = homes;
  await writeServeGraph(dir, checkpoint, layouts, { targets: [...targets], originals }, options.numThreads, (done) =>
    onProgress({ stage: "graph", done }),
  );
  const manifest = manifestOf(checkpoint, {
    baseId,
    weights,
    layouts,
    budget,
    threshold: plan.threshold,
    maxRank: plan.maxRank,
    parameters,
    hasOriginals: !options.isSlim,
    originals,
    endTokenIds: endTokens.map(({ id }) => id),
    targets: [...targets],
  });
  await writeTexts(dir, checkpoint.texts);
  await writeFile(join(dir, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  return { manifest, numContinued };
}

type Built = Pick<
  Manifest,
  | "baseId"
  | "weights"
  | "layouts"
  | "budget"
  | "threshold"
  | "maxRank"
  | "parameters"
  | "hasOriginals"
  | "originals"
  | "endTokenIds"
  | "targets"
>;

function manifestOf({ config, rawConfig, coded }: Checkpoint, built: Built): Manifest {
  const usual = built.layouts && layoutOf(built.layouts, "");
  return {
    formatVersion: FORMAT_VERSION,
    architecture: architectureOf(rawConfig),
    config,
    blockSize: usual?.blockSize ?? null,
    accuracyLevel: usual?.accuracyLevel ?? null,
    quantization: coded?.settings ?? null,
    merged: null,
    ...built,
  };
}

/** The tokenizer's files and the templates, as the checkpoint has them. */
async function writeTexts(dir: string, texts: Checkpoint["texts"]): Promise<void> {
  for (const [path, read] of texts) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), await read());
  }
}

/** The layers that get a basis, and the rule by which their k was chosen; null where there are none. */
interface BasisPlan {
  readonly linears: readonly Linear[];
  readonly threshold: number | null;
  readonly maxRank: number | null;
}

/** @throws {AppError} usage for a name that matches nothing, base_invalid when `basisFrom` lacks a wanted basis */
async function planBases(config: ModelConfig, options: BuildOptions): Promise<BasisPlan> {
  const { basisFrom, targets, threshold, maxRank } = options;
  if (targets === "none") return { linears: [], threshold: null, maxRank: null };
  if (basisFrom === null) return { linears: chooseTargets(config, targets), threshold, maxRank };
  const from = await readManifest(basisFrom, OLDEST_BASES_VERSION);
  const names = new Set(from.targets.map((target) => target.name));
  const all = allLinears(config).filter((linear) => names.has(linear.name));
  const linears = targets === null ? all : chooseTargets(config, targets);
  const missing = linears.find((linear) => !names.has(linear.name));
  if (linears.length === 0 || missing) {
    const kinds = [...new Set([...names].map((name) => name.split(".").at(-1)))].join(", ");
    throw new AppError(
      "base_invalid",
      `--basis-from ${basisFrom} has no basis for ${missing?.name ?? "any layer of this model"}; it has bases for ${names.size} layers (${kinds}). Choose other --targets or another base.`,
    );
  }
  return { linears, threshold: from.threshold, maxRank: from.maxRank };
}

// A build may use four times its largest tensor and one gigabyte. This is the share of that gigabyte for SVDs. The
// process itself uses the rest.
const SVD_BYTES = 512 * 2 ** 20;

interface TargetOptions extends Pick<BuildOptions, "basisFrom" | "numThreads"> {
  readonly baseId: string;
  /** SHA-256 of the checkpoint's tensors, by name. */
  readonly digests: ReadonlyMap<string, string>;
  readonly finishedDir: string;
}

async function writeTargets(
  dir: string,
  checkpoint: Checkpoint,
  { linears, threshold, maxRank }: BasisPlan,
  { basisFrom, baseId, digests, finishedDir, numThreads }: TargetOptions,
  onDone: (done: number) => void,
): Promise<{ readonly targets: readonly ManifestTarget[]; readonly numContinued: number }> {
  if (linears.length === 0) return { targets: [], numContinued: 0 };
  const onTarget = (numDone: number): void => onDone(numDone / linears.length);
  if (basisFrom !== null) {
    await using bases = await copiedBases(basisFrom, baseId);
    const targets = await writeBases(dir, linears, (one) => bases.basisOf(one), null, 1, onTarget);
    return { targets, numContinued: 0 };
  }
  if (threshold === null) throw new Error("internal: bases to compute without a threshold");
  const sizes = checkpoint.tensors.map(({ shape, dtype }) => numElements(shape) * bytesPerElement(dtype));
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const numAtOnce = numSvdsAtOnce(linears, numThreads, 4 * largest + SVD_BYTES);
  const choice = { threshold, maxRank: maxRank ?? undefined };
  const finished = finishedBases(finishedDir, digests, choice);
  await using bases = computedBases(checkpoint, choice, numAtOnce);
  // One more than the threads: a weight is ready when a thread is free, which does not wait for the last basis's file.
  const targets = await writeBases(dir, linears, (one) => bases.basisOf(one), finished, numAtOnce + 1, onTarget);
  return { targets, numContinued: finished.numTaken };
}

function architectureOf(raw: RawConfig): string {
  const [first] = Array.isArray(raw.architectures) ? (raw.architectures as unknown[]) : [];
  return typeof first === "string" ? first : String(raw.model_type);
}

async function directoryBytes(dir: string): Promise<number> {
  let bytes = 0;
  for (const path of await readdir(dir, { recursive: true })) {
    const found = await stat(join(dir, path));
    if (found.isFile()) bytes += found.size;
  }
  return bytes;
}
