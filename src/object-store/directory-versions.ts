/** The versions of an object in a directory: files `@1`, `@2`, … in a directory of the object's name. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

export interface Versions {
  readonly latest: number;
  /** Numbers of the others, in ascending order. */
  readonly earlier: readonly number[];
}

/** @returns "file": the object is a file without versions */
export async function readVersions(path: string): Promise<Versions | "file" | "absent"> {
  try {
    return versionsIn(await readdir(path)) ?? "absent";
  } catch (error) {
    if (isMissing(error)) return "absent";
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return "file";
    throw error;
  }
}

/** @returns null: the names are not those of versions */
export function versionsIn(names: readonly string[]): Versions | null {
  const numbers = names.flatMap((name) => (/^@[1-9]\d{0,14}$/.test(name) ? Number(name.slice(1)) : []));
  const latest = numbers.reduce((most, number) => Math.max(most, number), 0);
  if (latest === 0) return null;
  return { latest, earlier: numbers.filter((number) => number !== latest).toSorted((a, b) => a - b) };
}

export const versionPath = (path: string, versions: Versions | "file"): string =>
  versions === "file" ? path : join(path, `@${versions.latest}`);

export const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";
