import { cpSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BuildOptions, DEFAULT_THRESHOLD } from "../../../src/base/build/build.ts";
import { buildCached, cacheKeys } from "../../../src/base/build/build-cached.ts";
import { readManifest } from "../../../src/base/manifest.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { casesIn, fixturesDir, readJson } from "../../helpers/fixtures.ts";

const models = fixturesDir("models");
const name =
  casesIn(models, "config.json").find(
    (one) => readJson<{ model_type: string }>(models, one, "config.json").model_type === "llama",
  ) ?? "";
const options: BuildOptions = {
  weights: "float32",
  blockSize: null,
  targets: "none",
  threshold: DEFAULT_THRESHOLD,
  maxRank: null,
  basisFrom: null,
  isSlim: false,
  numThreads: 1,
};

let dir: string;
let checkpoint: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "mosara-cached-"));
  checkpoint = join(dir, "checkpoint");
  cpSync(join(models, name), checkpoint, { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Builds and says where, and whether there was anything to do. */
const build = async (from: string, changes: Partial<BuildOptions> = {}) => {
  let hasBuilt = false;
  const path = await buildCached(from, join(dir, "cache"), { ...options, ...changes }, () => (hasBuilt = true));
  return { path, hasBuilt };
};

describe("a cached build", () => {
  it("is made once, also for a copy, a touched file and other threads", async () => {
    const first = await build(checkpoint);
    expect(first.hasBuilt).toBe(true);
    expect((await readManifest(first.path)).weights).toBe("float32");
    const copy = join(dir, "copy");
    cpSync(checkpoint, copy, { recursive: true });
    utimesSync(join(checkpoint, "config.json"), 1, 1);
    writeFileSync(join(checkpoint, "README.md"), "x");
    for (const again of [await build(checkpoint), await build(copy), await build(checkpoint, { numThreads: 2 })])
      expect(again).toEqual({ path: first.path, hasBuilt: false });
  });

  it("copies the bases of an older version's base, so that adapters still fit", async () => {
    const changes = { targets: ["q_proj"], threshold: 0.5 };
    const keyOf = await cacheKeys(checkpoint, join(dir, "cache"), { ...options, ...changes });
    const older = join(dir, "cache", keyOf(4));
    // Its threshold is another one, so that computed bases would be different.
    cpSync(await builtBase(join(models, name), { ...changes, threshold: 0.9 }), older, { recursive: true });
    const again = await build(checkpoint, changes);
    expect(again.path).not.toBe(older);
    expect((await readManifest(again.path)).targets).toEqual((await readManifest(older)).targets);
  });

  it("is one directory, even if several build it at the same time", async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => build(checkpoint)));
    expect(new Set(all.map((one) => one.path)).size).toBe(1);
    expect(readdirSync(join(dir, "cache"))).toHaveLength(1);
    expect((await readManifest(all[0]!.path)).weights).toBe("float32"); // four of them
  });

  it("is another one for other flags or another content", async () => {
    const paths = new Set([
      (await build(checkpoint)).path,
      (await build(checkpoint, { isSlim: true })).path,
      (await build(checkpoint, { weights: "int8" })).path,
    ]);
    writeFileSync(join(checkpoint, "generation_config.json"), '{"eos_token_id":3}');
    paths.add((await build(checkpoint)).path);
    expect(paths.size).toBe(4);
  });

  it("that fails leaves nothing that would be taken for a base", async () => {
    rmSync(join(checkpoint, "model.safetensors"));
    await expect(build(checkpoint)).rejects.toMatchObject({ code: "checkpoint_invalid" });
    expect(readdirSync(join(dir, "cache"))).toEqual([]);
  });
});
