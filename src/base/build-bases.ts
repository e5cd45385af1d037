/**
 * The bases of a base directory: the truncated SVD of every target, computed on worker threads or taken over from another base.
 * Results are spilled to disk one by one, since the file's header needs every k before its first byte.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { type SafetensorsFile, openSafetensors } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { createSvdPool } from "../linalg/svd-pool.ts";
import type { TruncatedSvdOptions } from "../linalg/truncated-svd.ts";
import type { Linear } from "../model/linears.ts";
import { linearWeight } from "../model/weight-names.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import { BASES_FILE, type Basis, openBase } from "./base.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { basisIdOf } from "./identity.ts";
import type { ManifestTarget } from "./manifest.ts";

const PARTS = { U: "left", sigma: "sigma", V: "right", singular_values: "singularValues" } as const;

interface SpilledBasis {
  readonly target: ManifestTarget;
  readonly path: string;
}

/** Writes `BASES_FILE` into `dir`. @param onDone called after each target with the number done */
export async function writeBases(
  dir: string,
  linears: readonly Linear[],
  basisOf: (linear: Linear) => Promise<Basis>,
  numAtOnce: number,
  onDone: (numDone: number) => void,
): Promise<readonly ManifestTarget[]> {
  const spillDir = join(dir, "bases.tmp");
  await mkdir(spillDir);
  const spilled: SpilledBasis[] = [];
  let next = 0;
  let numDone = 0;
  const work = async (): Promise<void> => {
    while (next < linears.length) {
      const at = next++;
      const linear = linears[at]!; // at < linears.length
      spilled[at] = await spill(linear, await basisOf(linear), join(spillDir, `${at}.safetensors`));
      onDone(++numDone);
    }
  };
  await Promise.all(Array.from({ length: numAtOnce }, work));
  await assemble(join(dir, BASES_FILE), spilled);
  await rm(spillDir, { recursive: true });
  return spilled.map((one) => one.target);
}

async function spill(linear: Linear, basis: Basis, path: string): Promise<SpilledBasis> {
  const specs = Object.entries(PARTS).map(([name, part]) => ({
    name,
    dtype: basis[part].dtype,
    shape: basis[part].shape,
  }));
  await writeSafetensors(path, specs, async (name) => basis[PARTS[name as keyof typeof PARTS]]);
  const { left, sigma, right, singularValues } = basis;
  let nuclearNorm = 0;
  for (const value of toFloat32(singularValues)) nuclearNorm += value;
  const target = {
    name: linear.name,
    k: sigma.shape[0]!, // σ is [k]
    dIn: linear.dIn,
    dOut: linear.dOut,
    basisId: basisIdOf(left, sigma, right),
    nuclearNorm,
  };
  return { target, path };
}

/** All spilled bases as one file, one tensor in memory at a time. */
async function assemble(path: string, spilled: readonly SpilledBasis[]): Promise<void> {
  const homes = new Map<string, { file: SafetensorsFile; part: string }>();
  const files: SafetensorsFile[] = [];
  try {
    for (const { target, path: spillPath } of spilled) {
      const file = await openSafetensors(spillPath);
      files.push(file);
      for (const part of file.tensors.keys()) homes.set(`${target.name}.${part}`, { file, part });
    }
    const specs = [...homes].map(([name, { file, part }]) => {
      const entry = file.tensors.get(part)!; // `part` is one of the file's keys
      return { name, dtype: entry.dtype, shape: entry.shape };
    });
    await writeSafetensors(path, specs, async (name) => {
      const home = homes.get(name)!; // the specs are the homes
      return home.file.read(home.part);
    });
  } finally {
    for (const file of files) await file[Symbol.asyncDispose]();
  }
}

/** Computes bases from the checkpoint's weights on `numThreads` threads. */
export function computedBases(
  checkpoint: Checkpoint,
  options: TruncatedSvdOptions,
  numThreads: number,
): AsyncDisposable & { basisOf(linear: Linear): Promise<Basis> } {
  const pool = createSvdPool(numThreads);
  return {
    basisOf: async ({ name, dIn, dOut }) => {
      const weight = toFloat32(await checkpoint.read(linearWeight(name)));
      const svd = await pool.svd(weight, dOut, dIn, options);
      const float32 = (shape: readonly number[], data: Float32Array): HostTensor => hostTensor("float32", shape, data);
      return {
        left: float32([dOut, svd.k], svd.U),
        sigma: float32([svd.k], svd.sigma),
        right: float32([dIn, svd.k], svd.V),
        singularValues: float32([Math.min(dOut, dIn)], svd.singularValues),
      };
    },
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

/**
 * Bases taken over from another base directory of the same checkpoint: bits differ between CPUs, so a basis is copied.
 * @throws {AppError} base_invalid when it is another checkpoint's or lacks a target
 */
export async function copiedBases(
  from: string,
  baseId: string,
): Promise<AsyncDisposable & { targetNames: readonly string[]; basisOf(linear: Linear): Promise<Basis> }> {
  const base = await openBase(from);
  const targetNames = base.manifest.targets.map((target) => target.name);
  if (base.manifest.baseId !== baseId) {
    await base[Symbol.asyncDispose]();
    throw new AppError(
      "base_invalid",
      `--basis-from ${from} is base ${base.manifest.baseId}, the checkpoint is ${baseId}. Take the bases of the same checkpoint.`,
    );
  }
  return {
    targetNames,
    basisOf: async ({ name }) => {
      if (targetNames.includes(name)) return base.readBasis(name);
      throw new AppError(
        "base_invalid",
        `--basis-from ${from} has no basis for ${name}. It has: ${targetNames.join(", ")}.`,
      );
    },
    [Symbol.asyncDispose]: () => base[Symbol.asyncDispose](),
  };
}
