/**
 * The inputs of a measured training step, as files that our process and PyTorch's read alike: a random checkpoint, an
 * adapter's bases and numbers, and a job file with the one batch. Speed does not depend on whether bases are singular
 * vectors, so they are random. The trained numbers start away from zero, so that every product of an adapter affects
 * the loss.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { allLinears } from "../../src/model/linears.ts";
import type { ModelConfig } from "../../src/model/config/model-config.ts";
import { hostTensor, numElements } from "../../src/tensor/host-tensor.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { type CheckpointShape, randomCheckpoint } from "../inputs/random-checkpoint.ts";
import { randomIds, randomNormals } from "../inputs/random-values.ts";

/** An adapter, and its directions in each layer. */
export interface JobAdapter {
  readonly method: "mo-sara" | "lora";
  readonly rank: number;
}

/** Who trains what, and on how much. */
export interface TrainCase {
  /** For the table. */
  readonly name: string;
  readonly shape: CheckpointShape;
  readonly batch: number;
  readonly length: number;
  /** Share of the rows that predict something, from the end of each example. */
  readonly lossShare: number;
  /** Of q and v; null: the whole model is trained. */
  readonly adapter: JobAdapter | null;
  readonly learningRate: number;
}

export interface TrainJob {
  readonly dir: string;
  readonly weightsFile: string;
  /**
   * The numbers of every target: `<target>.U`, `.V`, `.lambda` and `.v`, or `<target>.lora_A` and `.lora_B`. null: the
   * whole model is trained.
   */
  readonly adapterFile: string | null;
  readonly adapter: JobAdapter | null;
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
  const { adapter, learningRate } = one;
  const dir = await randomCheckpoint(folder, one.shape);
  const job: TrainJob = {
    dir,
    weightsFile: "model.safetensors",
    adapterFile: adapter === null ? null : await writeAdapter(dir, adapter),
    adapter,
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

interface RandomTensor {
  readonly shape: readonly number[];
  readonly deviation: number;
}

/** Bases with columns of length 1 or so, λ like singular values, v and lora_B small. */
function tensorsOf({ dIn, dOut }: JobTarget, { method, rank }: JobAdapter): Readonly<Record<string, RandomTensor>> {
  const across = { deviation: 1 / Math.sqrt(dIn) };
  if (method === "lora")
    return { lora_A: { shape: [rank, dIn], ...across }, lora_B: { shape: [dOut, rank], deviation: 0.02 } };
  return {
    U: { shape: [dOut, rank], deviation: 1 / Math.sqrt(dOut) },
    V: { shape: [dIn, rank], ...across },
    lambda: { shape: [1, rank], deviation: 1 },
    v: { shape: [dOut], deviation: 0.2 },
  };
}

/** @returns the file's path in `dir` */
async function writeAdapter(dir: string, adapter: JobAdapter): Promise<string> {
  // In a folder of its own: other programs read every such file beside a model as a part of the model.
  const name = join("train", `${adapter.method}-${adapter.rank}.safetensors`);
  if (existsSync(join(dir, name))) return name;
  await mkdir(join(dir, "train"), { recursive: true });
  const targets = jobTargets(await readModelConfig(dir));
  const tensors = new Map<string, RandomTensor>(
    targets.flatMap((target) =>
      Object.entries(tensorsOf(target, adapter)).map(([key, tensor]) => [`${target.name}.${key}`, tensor] as const),
    ),
  );
  const specs = [...tensors].map(([key, { shape }]) => ({ name: key, dtype: "float32" as const, shape }));
  const random = seedRandom(6);
  await writeSafetensors(join(dir, name), specs, async (key) => {
    const tensor = tensors.get(key);
    if (!tensor) throw new Error(`internal: ${key} was not announced`);
    return hostTensor("float32", tensor.shape, randomNormals(numElements(tensor.shape), tensor.deviation, random));
  });
  return name;
}
