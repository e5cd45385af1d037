/**
 * The inputs of a measured training step, as files that our process and PyTorch's read alike: a random checkpoint, an
 * adapter's bases and numbers, and a job file with the one batch. Speed does not depend on whether bases are singular
 * vectors, so they are random. The trained numbers start away from zero, so that every product of an adapter affects
 * the loss.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { allLinears } from "../../src/model/linears.ts";
import type { ModelConfig } from "../../src/model/config/model-config.ts";
import { hostTensor, numElements } from "../../src/tensor/host-tensor.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { type CheckpointShape, randomCheckpoint } from "../inputs/random-checkpoint.ts";
import { randomIds, randomNormals } from "../inputs/random-values.ts";

/** Who trains what, and on how much. */
export interface TrainCase {
  /** For the table. */
  readonly name: string;
  readonly shape: CheckpointShape;
  readonly batch: number;
  readonly length: number;
  /** Share of the rows that predict something, from the end of each example. */
  readonly lossShare: number;
  /** Directions of an adapter on q and v; null: the whole model is trained. */
  readonly adapterRank: number | null;
  readonly learningRate: number;
}

export interface TrainJob {
  readonly dir: string;
  readonly weightsFile: string;
  /** `<target>.U`, `.V`, `.lambda` and `.v` of every target; null: the whole model is trained. */
  readonly adapterFile: string | null;
  /** One token more than the rows have: the last is only predicted. */
  readonly examples: readonly { readonly ids: readonly number[]; readonly lossMask: readonly number[] }[];
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly clip: number;
  readonly numThreads: number;
}

/** An adapter's layer as it lies in the adapter file. */
export interface JobTarget {
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
}

/** The layers that are adapted: q and v. */
export function jobTargets(config: ModelConfig): readonly JobTarget[] {
  return allLinears(config).filter(({ name }) => /\.[qv]_proj$/.test(name));
}

export async function readModelConfig(dir: string): Promise<ModelConfig> {
  return parseModelConfig(JSON.parse(await readFile(join(dir, "config.json"), "utf8")) as Record<string, unknown>);
}

/**
 * Writes what is missing of a case's files.
 * @param folder where checkpoints are kept
 * @param scratch a directory for the job file @returns its path
 */
export async function writeJob(folder: string, scratch: string, one: TrainCase, numThreads: number): Promise<string> {
  const { adapterRank, learningRate } = one;
  const dir = await randomCheckpoint(folder, one.shape);
  const job: TrainJob = {
    dir,
    weightsFile: "model.safetensors",
    adapterFile: adapterRank === null ? null : await writeAdapter(dir, adapterRank),
    examples: examplesOf(one),
    learningRate,
    weightDecay: 0.01,
    clip: 1,
    numThreads,
  };
  const path = join(scratch, `${one.name}.json`);
  await writeFile(path, JSON.stringify(job));
  return path;
}

function examplesOf({ batch, length, lossShare, shape }: TrainCase): TrainJob["examples"] {
  const random = seedRandom(5);
  const firstWanted = 1 + length - Math.round(lossShare * length);
  const lossMask = Array.from({ length: length + 1 }, (_, t) => (t >= firstWanted ? 1 : 0));
  return Array.from({ length: batch }, () => ({ ids: [...randomIds(length + 1, shape.vocab, random)], lossMask }));
}

/** Bases with columns of length 1 or so, λ like singular values, v small. @returns the file's name in `dir` */
async function writeAdapter(dir: string, rank: number): Promise<string> {
  const name = `train-adapter-${rank}.safetensors`;
  if (existsSync(join(dir, name))) return name;
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly deviation: number }>();
  for (const { name: target, dIn, dOut } of jobTargets(await readModelConfig(dir))) {
    tensors.set(`${target}.U`, { shape: [dOut, rank], deviation: 1 / Math.sqrt(dOut) });
    tensors.set(`${target}.V`, { shape: [dIn, rank], deviation: 1 / Math.sqrt(dIn) });
    tensors.set(`${target}.lambda`, { shape: [1, rank], deviation: 1 });
    tensors.set(`${target}.v`, { shape: [dOut], deviation: 0.2 });
  }
  const specs = [...tensors].map(([key, { shape }]) => ({ name: key, dtype: "float32" as const, shape }));
  const random = seedRandom(6);
  await writeSafetensors(join(dir, name), specs, async (key) => {
    const tensor = tensors.get(key);
    if (!tensor) throw new Error(`internal: ${key} was not announced`);
    return hostTensor("float32", tensor.shape, randomNormals(numElements(tensor.shape), tensor.deviation, random));
  });
  return name;
}
