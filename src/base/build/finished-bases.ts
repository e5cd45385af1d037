/**
 * Bases that a build has computed, kept beside the destination until the build ends. A build that was killed continues
 * with them. A basis is found by its weight's hash and its options, and used only if its content has the stored hash.
 */
import { createHash } from "node:crypto";
import { copyFile, link, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors } from "../../formats/safetensors.ts";
import type { TruncatedSvdOptions } from "../../linalg/truncated-svd.ts";
import { type HostTensor, bytesOf } from "../../tensor/host-tensor.ts";
import type { Basis } from "../base.ts";

/** Version of the computation. It changes when the same weight would get another basis. */
const ALGORITHM = 1;

/** Names of a basis's tensors in files. */
export const BASIS_PARTS = { U: "left", sigma: "sigma", V: "right", singular_values: "singularValues" } as const;

export interface FinishedBases {
  /** Places the finished basis of a weight at `path`; null where there is none, or a damaged one. */
  take(weight: string, path: string): Promise<Basis | null>;
  /** Keeps the file of a basis that has just been computed. */
  keep(weight: string, path: string): Promise<void>;
  /** The number of finished bases that `take` has found. */
  readonly numTaken: number;
}

/** SHA-256 of all numbers of a basis, hex. It is in the metadata of the basis's file. */
export function contentOf(basis: Basis): string {
  const hash = createHash("sha256");
  for (const part of Object.values(BASIS_PARTS)) {
    const { dtype, shape }: HostTensor = basis[part];
    hash.update(`${dtype}[${shape.join(",")}]`).update(bytesOf(basis[part]));
  }
  return hash.digest("hex");
}

/** @param dir made when the first basis is kept. @param digests SHA-256 of the weights, by name */
export function finishedBases(
  dir: string,
  digests: ReadonlyMap<string, string>,
  { threshold, maxRank }: TruncatedSvdOptions,
): FinishedBases {
  const fileOf = (weight: string): string => {
    const key = [ALGORITHM, digests.get(weight), threshold, maxRank ?? null];
    return join(dir, `${createHash("sha256").update(JSON.stringify(key)).digest("hex")}.safetensors`);
  };
  let numTaken = 0;
  return {
    take: async (weight, path) => {
      if (!(await isPlaced(fileOf(weight), path))) return null;
      const basis = await readIntact(path);
      if (basis) numTaken++;
      else await rm(path);
      return basis;
    },
    keep: async (weight, path) => {
      await mkdir(dir, { recursive: true });
      await isPlaced(path, fileOf(weight));
    },
    get numTaken() {
      return numTaken;
    },
  };
}

/** Gives the file another place. False where there is no file, or a file is already there. */
async function isPlaced(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EEXIST") return false;
  }
  await copyFile(from, to); // a file system without hard links
  return true;
}

/** null for a file that is cut off or changed. */
async function readIntact(path: string): Promise<Basis | null> {
  try {
    await using file = await openSafetensors(path);
    const parts: [string, HostTensor][] = [];
    for (const [name, part] of Object.entries(BASIS_PARTS)) parts.push([part, await file.read(name)]);
    const basis = Object.fromEntries(parts) as unknown as Basis; // it has all parts
    return contentOf(basis) === file.metadata.content ? basis : null;
  } catch {
    return null;
  }
}
