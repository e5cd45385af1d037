/** Builds of a small random checkpoint. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { type BuildOptions, buildBase } from "../../../src/base/build/build.ts";
import { TOY_CONFIG, writeCheckpoint } from "./checkpoints.ts";

export const OPTIONS: BuildOptions = {
  weights: "float32",
  blockSize: null,
  targets: "none",
  threshold: 0.25,
  maxRank: null,
  basisFrom: null,
  isSlim: false,
  numThreads: 1,
};

export const Q_PROJ = "model.layers.0.self_attn.q_proj.weight";

// A new one of each for every test.
export let dir: string;
export let checkpoint: string;

export const out = (): string => join(dir, "out", "base");

export const build = async (changes: Partial<BuildOptions> = {}, from = checkpoint) =>
  (await buildBase(from, out(), { ...OPTIONS, ...changes })).manifest;

/** Another checkpoint, the same but for one tensor. */
export function changed(name: string, change: (values: Float32Array) => void): Promise<string> {
  return writeCheckpoint(join(dir, "changed"), TOY_CONFIG, {
    change: (tensors) => {
      const tensor = tensors.get(name)!; // the test names one that is there
      const data = Float32Array.from(tensor.data as Float32Array);
      change(data);
      tensors.set(name, { ...tensor, data });
    },
  });
}

/** A new checkpoint for each test. */
export function useToyCheckpoint(): void {
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "mosara-build-"));
    checkpoint = await writeCheckpoint(join(dir, "checkpoint"), TOY_CONFIG);
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
}
