/**
 * Makes a checkpoint with random weights for training from scratch: matrices normal around 0, neutral norms, biases 0.
 * Each tensor draws from its own random stream, so a seed gives the same values in any file order.
 * Source: transformers' `_init_weights` (deviation `initializer_range`).
 */
import { existsSync } from "node:fs";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AppError } from "../errors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { type RawConfig, readNumber } from "../model/config/config-reader.ts";
import { foreignNames, parseModelConfig } from "../model/families.ts";
import type { ModelConfig } from "../model/config/model-config.ts";
import { requiredTensors } from "../model/required-tensors.ts";
import { type HostTensor, hostTensor, numElements } from "../tensor/host-tensor.ts";
import { nextNormal, nextUint32, seedRandom } from "../tensor/random.ts";
import { copyCheckpointTexts } from "./checkpoint-files.ts";
import { withDtype, withSettings } from "./config-text.ts";
import { writeWholeDirectory } from "./whole-directory.ts";

/** transformers' default where the configuration states none. */
const DEFAULT_DEVIATION = 0.02;

export interface InitOptions {
  /** Directory whose tokenizer files are copied. */
  readonly tokenizerDir: string;
  /** Unsigned 32-bit. */
  readonly seed: number;
  /** The config.json from which the configuration was read. Differences are written into it. */
  readonly configText: string;
}

export interface InitResult {
  readonly out: string;
  readonly parameters: number;
  readonly tensors: number;
  readonly bytes: number;
}

/**
 * Writes a float32 checkpoint of this configuration to `outDir`, which must not exist or be empty.
 * @throws {AppError} checkpoint_unsupported, checkpoint_invalid, usage; no files are left behind then
 */
export async function initCheckpoint(
  raw: RawConfig,
  outDir: string,
  { tokenizerDir, seed, configText }: InitOptions,
  onProgress: (done: number) => void = () => {},
): Promise<InitResult> {
  const out = resolve(outDir);
  if (existsSync(out) && (!(await stat(out)).isDirectory() || (await readdir(out)).length > 0))
    throw new AppError("usage", `--out ${out} exists and is not empty. Name another directory, or remove it.`);
  const tensors = plannedTensors(raw, seed);
  await writeWholeDirectory(out, async (temporary) => {
    let numDone = 0;
    const load = async (name: string): Promise<HostTensor> => {
      onProgress(++numDone / tensors.size);
      return tensors.get(name)!.make(); // the specs name only these tensors
    };
    const specs = [...tensors].map(([name, { shape }]) => ({ name, shape, dtype: "float32" as const }));
    await writeSafetensors(join(temporary, "model.safetensors"), specs, load, { format: "pt" });
    await writeFile(join(temporary, "config.json"), configFile(raw, configText));
    await copyTokenizer(tokenizerDir, temporary);
  });
  const parameters = [...tensors.values()].reduce((sum, { shape }) => sum + numElements(shape), 0);
  const { size: bytes } = await stat(join(out, "model.safetensors"));
  return { out, parameters, tensors: tensors.size, bytes };
}

interface PlannedTensor {
  /** As the file holds it. */
  readonly shape: readonly number[];
  make(): HostTensor;
}

/** By the name in the file. */
function plannedTensors(raw: RawConfig, seed: number): ReadonlyMap<string, PlannedTensor> {
  const config = parseModelConfig(raw);
  const deviation = readNumber(raw, "initializer_range", DEFAULT_DEVIATION);
  const { namesOf, isTransposed } = foreignNames(config);
  const seeds = seedRandom(seed);
  return new Map(
    requiredTensors(config, !config.tiesEmbeddings).map(({ name, shape: ours }) => {
      const ownSeed = nextUint32(seeds);
      const shape = isTransposed(name) ? ours.toReversed() : ours;
      const make = (): HostTensor =>
        hostTensor("float32", shape, initialValues(config, name, shape, deviation, ownSeed));
      return [namesOf(name)[0] ?? name, { shape, make }];
    }),
  );
}

function initialValues(
  config: ModelConfig,
  name: string,
  shape: readonly number[],
  deviation: number,
  seed: number,
): Float32Array {
  const size = numElements(shape);
  if (name.endsWith(".bias")) return new Float32Array(size);
  if (shape.length === 1) return new Float32Array(size).fill(1 - config.norm.offset); // a norm
  const random = seedRandom(seed);
  return Float32Array.from({ length: size }, () => deviation * nextNormal(random));
}

function configFile(raw: RawConfig, text: string): string {
  const given = JSON.parse(text) as RawConfig;
  const changed = Object.entries(raw).filter(([key, value]) => JSON.stringify(given[key]) !== JSON.stringify(value));
  return withDtype(withSettings(text, Object.fromEntries(changed)), "float32");
}

/** Copies only the tokenizer's files, because its directory may hold a whole model. */
async function copyTokenizer(from: string, to: string): Promise<void> {
  await copyCheckpointTexts(from, to, (path) => !/^(generation_)?config\.json$/.test(path));
}
