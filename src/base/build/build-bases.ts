/**
 * The bases of a base directory: the truncated SVD of every target. Worker threads compute it, or it is copied from
 * another base. Results are spilled to disk one by one, because the header of the bases file, which comes first, needs
 * every k.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../errors.ts";
import { openSafetensors } from "../../formats/safetensors.ts";
import { type TensorSpec, writeSafetensors } from "../../formats/safetensors-writer.ts";
import { createSvdPool } from "../../linalg/svd-pool.ts";
import type { TruncatedSvdOptions } from "../../linalg/truncated-svd.ts";
import type { Linear } from "../../model/linears.ts";
import { linearWeight } from "../../model/weight-names.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
import { BASES_FILE, type Basis, openBase } from "../base.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { basisIdOf } from "../identity.ts";
import { BASIS_PARTS, type FinishedBases, contentOf } from "./finished-bases.ts";
import { type ManifestTarget, OLDEST_BASES_VERSION } from "../manifest.ts";

interface SpilledBasis {
  readonly target: ManifestTarget;
  readonly path: string;
  readonly specs: readonly TensorSpec[];
}

/**
 * Writes `BASES_FILE` into `dir`.
 * @param finished keeps each computed basis, so that a stopped build can continue; null: nothing is kept
 * @param onDone called after each target with the number done
 */
export async function writeBases(
  dir: string,
  linears: readonly Linear[],
  basisOf: (linear: Linear) => Promise<Basis>,
  finished: FinishedBases | null,
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
      const path = join(spillDir, `${at}.safetensors`);
      const weight = linearWeight(linear.name);
      const known = await finished?.take(weight, path);
      spilled[at] = known ? spilledBasis(linear, known, path) : await spill(linear, await basisOf(linear), path);
      if (!known) await finished?.keep(weight, path);
      onDone(++numDone);
    }
  };
  const stopAtFailure = (error: unknown): never => {
    next = linears.length;
    throw error;
  };
  // All threads have ended before a failure is reported, so that none writes into a directory that is being removed.
  const ends = await Promise.allSettled(Array.from({ length: numAtOnce }, () => work().catch(stopAtFailure)));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  await assemble(join(dir, BASES_FILE), spilled);
  await rm(spillDir, { recursive: true });
  return spilled.map((one) => one.target);
}

async function spill(linear: Linear, basis: Basis, path: string): Promise<SpilledBasis> {
  const spilled = spilledBasis(linear, basis, path);
  const read = async (name: string): Promise<HostTensor> => basis[BASIS_PARTS[name as keyof typeof BASIS_PARTS]];
  // A build that continues checks the content, so nobody waits for the disk here.
  await writeSafetensors(path, spilled.specs, read, { content: contentOf(basis) }, false);
  return spilled;
}

function spilledBasis(linear: Linear, basis: Basis, path: string): SpilledBasis {
  const specs = Object.entries(BASIS_PARTS).map(([name, part]) => ({
    name,
    dtype: basis[part].dtype,
    shape: basis[part].shape,
  }));
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
  return { target, path, specs };
}

/** All spilled bases as one file, one tensor in memory and one spilled file open at a time. */
async function assemble(path: string, spilled: readonly SpilledBasis[]): Promise<void> {
  const homes = new Map<string, { path: string; part: string }>();
  const all = spilled.flatMap(({ target, path: spillPath, specs }) =>
    specs.map((spec) => {
      const name = `${target.name}.${spec.name}`;
      homes.set(name, { path: spillPath, part: spec.name });
      return { ...spec, name };
    }),
  );
  await writeSafetensors(path, all, async (name) => {
    const home = homes.get(name)!; // the specs and the homes have the same names
    await using file = await openSafetensors(home.path);
    return await file.read(home.part);
  });
}

/**
 * Number of SVDs that may run at once within `budgetBytes`.
 * One SVD holds its weight as stored, as float32, as a copy for the thread, and transposed if it is tall.
 * It also holds the Gram matrix of the short side in float64 (`linalg/truncated-svd.ts`). One further weight waits for
 * a thread, as stored and as float32.
 */
export function numSvdsAtOnce(linears: readonly Linear[], numThreads: number, budgetBytes: number): number {
  const bytesOfSvd = ({ dIn, dOut }: Linear): number => 16 * dIn * dOut + 8 * Math.min(dIn, dOut) ** 2;
  const greatest = linears.reduce((most, linear) => Math.max(most, bytesOfSvd(linear)), 1);
  const waiting = linears.reduce((most, { dIn, dOut }) => Math.max(most, 8 * dIn * dOut), 0);
  return Math.max(1, Math.min(numThreads, linears.length, Math.floor((budgetBytes - waiting) / greatest)));
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
 * Copies bases from another base directory of the same checkpoint.
 * They are copied because recomputed bits differ between CPUs.
 * @throws {AppError} base_invalid where the other base is of another checkpoint, or damaged
 */
export async function copiedBases(
  from: string,
  baseId: string,
): Promise<AsyncDisposable & { basisOf(linear: Linear): Promise<Basis> }> {
  const base = await openBase(from, OLDEST_BASES_VERSION);
  if (base.manifest.baseId !== baseId) {
    await base[Symbol.asyncDispose]();
    throw new AppError(
      "base_invalid",
      `--basis-from ${from} is base ${base.manifest.baseId}, but the checkpoint is ${baseId}. Use the bases of the same checkpoint.`,
    );
  }
  const basisIds = new Map(base.manifest.targets.map((target) => [target.name, target.basisId]));
  return {
    basisOf: async ({ name }) => {
      const basis = await base.readBasis(name);
      if (basisIdOf(basis.left, basis.sigma, basis.right) === basisIds.get(name)) return basis;
      throw new AppError(
        "base_invalid",
        `--basis-from ${from}: the basis of ${name} differs from the one that its manifest names. Build that base again.`,
      );
    },
    [Symbol.asyncDispose]: () => base[Symbol.asyncDispose](),
  };
}
