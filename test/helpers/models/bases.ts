/**
 * Base directories for tests, built once for all test files. The code of dist/ builds them, because threads for SVDs
 * run JavaScript.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";
import type * as Build from "../../../src/base/build/build.ts";

const built = new Map<string, Promise<string>>();

const DEFAULTS: Build.BuildOptions = {
  weights: "float32",
  blockSize: null,
  targets: null,
  threshold: 0.25,
  maxRank: null,
  basisFrom: null,
  isSlim: false,
  numThreads: 2,
};

/**
 * The base directory of a checkpoint, built with these options. Other test files use the same directory, so change
 * nothing in it.
 */
export function builtBase(checkpointPath: string, options: Partial<Build.BuildOptions> = {}): Promise<string> {
  const all = { ...DEFAULTS, ...options };
  const key = createHash("sha256")
    .update(JSON.stringify([contentOf(checkpointPath), all]))
    .digest("hex")
    .slice(0, 16);
  let dir = built.get(key);
  if (!dir) {
    dir = build(checkpointPath, join(inject("basesDir"), key), all);
    built.set(key, dir);
  }
  return dir;
}

/** Names and hashes of a checkpoint's files. */
function contentOf(path: string): readonly (readonly [string, string])[] {
  const isFolder = statSync(path).isDirectory();
  const names = isFolder ? readdirSync(path, { recursive: true, encoding: "utf8" }).sort() : [""];
  return names.flatMap((name) => {
    const file = join(path, name);
    if (!statSync(file).isFile()) return [];
    return [[name, createHash("sha256").update(readFileSync(file)).digest("hex")] as const];
  });
}

/** Another worker may build the same base at the same time: the first one that is complete is kept. */
async function build(checkpointPath: string, out: string, options: Build.BuildOptions): Promise<string> {
  if (existsSync(out)) return out;
  const module = new URL("../../../dist/src/base/build/build.js", import.meta.url).href;
  const { buildBase } = (await import(module)) as typeof Build;
  const making = mkdtempSync(`${out}-`);
  try {
    await buildBase(checkpointPath, join(making, "base"), options);
    renameSync(join(making, "base"), out);
  } catch (error) {
    if (!existsSync(out)) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return out;
}
