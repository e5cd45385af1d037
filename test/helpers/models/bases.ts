/**
 * Base directories for tests, built once a process by the built code (its SVD threads run JavaScript) and removed at
 * the end.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Build from "../../../src/base/build/build.ts";

const root = mkdtempSync(join(tmpdir(), "mosara-bases-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
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

/** The base directory of a checkpoint, built with these options. */
export function builtBase(checkpointDir: string, options: Partial<Build.BuildOptions> = {}): Promise<string> {
  const all = { ...DEFAULTS, ...options };
  const key = createHash("sha256")
    .update(JSON.stringify([checkpointDir, all]))
    .digest("hex")
    .slice(0, 16);
  let dir = built.get(key);
  if (!dir) {
    dir = build(checkpointDir, join(root, key), all);
    built.set(key, dir);
  }
  return dir;
}

async function build(checkpointDir: string, out: string, options: Build.BuildOptions): Promise<string> {
  const module = new URL("../../../dist/src/base/build/build.js", import.meta.url).href;
  const { buildBase } = (await import(module)) as typeof Build;
  await buildBase(checkpointDir, out, options);
  return out;
}
