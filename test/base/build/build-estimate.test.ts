/** What a build says before it starts, against what it then makes, on every model fixture. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type WeightKind, readManifest } from "../../../src/base/manifest.ts";
import { estimateBuild } from "../../../src/base/build/build-estimate.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { casesIn, fixturesDir } from "../../helpers/fixtures.ts";

const models = fixturesDir("models");

describe.each(casesIn(models, "expected.json"))("%s", (name) => {
  it.each<[WeightKind, boolean]>([
    ["float32", false],
    ["int8", false],
    ["int4", true],
  ])("comes out about as large as announced in %s (slim: %s)", async (weights, isSlim) => {
    const blockSize = weights === "float32" ? null : 32;
    const options = { weights, blockSize, targets: null, threshold: 0.25, maxRank: null, basisFrom: null, isSlim };
    await using checkpoint = await openCheckpoint(join(models, name));
    const { bytes, seconds } = estimateBuild(checkpoint, { ...options, numThreads: 2 });
    // Bases have the same bytes for all weights (`base-ids.test.ts`), so they are computed once.
    const first = await builtBase(join(models, name));
    const dir = weights === "float32" ? first : await builtBase(join(models, name), { ...options, basisFrom: first });
    // Texts, the graph and the manifest are left out of the estimate; they are what these small models mostly consist
    // of.
    const files = readdirSync(dir).filter((file) => /\.(safetensors|weights)$/.test(file));
    const actual = files.reduce((sum, file) => sum + statSync(join(dir, file)).size, 0);
    // Ranks are guessed: on narrow layers a direction more or less in each is much of the whole.
    const { targets } = await readManifest(dir);
    const oneDirection = targets.reduce((sum, { dIn, dOut }) => sum + 4 * (dIn + dOut), 0);
    expect(bytes).toBeGreaterThan(0.7 * actual - oneDirection);
    expect(bytes).toBeLessThan(1.4 * actual + oneDirection);
    expect(seconds).toBeGreaterThan(0);
  });
});
