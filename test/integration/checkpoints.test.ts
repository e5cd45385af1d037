/**
 * Real pretrained checkpoints, which are too large for this repository: every folder with an expected.json in
 * MOSARA_CHECKPOINTS (or in ../shared/checkpoints beside it) is served straight from its directory and must continue
 * its prompts exactly.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { casesIn, readJson } from "../helpers/fixtures.ts";
import { complete, startServer, tempDir } from "../helpers/server.ts";

const given = process.env.MOSARA_CHECKPOINTS;
const folder = given ?? join(packageRoot(), "..", "shared", "checkpoints");
const names = given !== undefined || existsSync(folder) ? casesIn(folder, "expected.json") : [];

interface Expected {
  readonly cases: readonly { readonly prompt: string; readonly text: string; readonly greedyIds: number[] }[];
}

describe.runIf(names.length > 0).each(names)("%s", (name) => {
  it("continues every prompt exactly in float32", async () => {
    const { cases } = readJson<Expected>(folder, name, "expected.json");
    expect(cases.length).toBeGreaterThan(0);
    const flags = ["--weights", "float32", "--cache", tempDir(), "--served-model-name", "base"];
    await using server = await startServer(["--model", join(folder, name), ...flags]);
    for (const { prompt, text, greedyIds } of cases) {
      const { json } = await complete(server.url, { model: "base", prompt, max_tokens: greedyIds.length });
      expect(json.choices[0]?.token_ids).toEqual(greedyIds);
      expect(json.choices[0]?.text.trim()).toBe(text.trim());
    }
  });
});

if (names.length === 0)
  it.skip(`continues real checkpoints; there are none in ${folder}, set MOSARA_CHECKPOINTS to look elsewhere`, () => {});
