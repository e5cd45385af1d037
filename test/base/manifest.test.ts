/** The manifest of a base directory. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { MANIFEST_FILE, readManifest } from "../../src/base/manifest.ts";
import { LATER_SETTINGS } from "../../src/model/config/model-config.ts";
import { writeCheckpoint, TOY_CONFIG } from "../helpers/models/checkpoints.ts";
import { builtBase } from "../helpers/models/bases.ts";

const folder = mkdtempSync(join(tmpdir(), "mosara-manifest-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("of a base that was built before a setting existed has the setting's former value", async () => {
  const base = await builtBase(await writeCheckpoint(join(folder, "toy"), TOY_CONFIG), { targets: "none" });
  const text = readFileSync(join(base, MANIFEST_FILE), "utf8");
  const { config, ...manifest } = JSON.parse(text) as { config: Record<string, unknown> };
  const older = Object.entries(config).filter(([key]) => !(key in LATER_SETTINGS));
  writeFileSync(join(folder, MANIFEST_FILE), JSON.stringify({ ...manifest, config: Object.fromEntries(older) }));
  expect(older.length).toBe(Object.keys(config).length - Object.keys(LATER_SETTINGS).length);
  expect((await readManifest(folder)).config).toEqual(config);
});
