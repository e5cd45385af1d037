/**
 * The whole chain of the demo at toy size, as one command: what comes out serves, fits together, and is not made twice.
 * Needs dist/.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { decodeAdapter } from "../../src/adapter/adapter-file.ts";
import { readManifest } from "../../src/base/manifest.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const work = mkdtempSync(join(tmpdir(), "mosara-smoke-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

function makeDemo(...flags: string[]) {
  const args = [join(packageRoot(), "dist", "scripts", "make-demo.js"), "--smoke", "--work", work, ...flags];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: work });
  return { status, stdout, stderr };
}

let first: ReturnType<typeof makeDemo>;
beforeAll(() => void (first = makeDemo()), 600_000);

it("goes from a corpus to measured adapters with one command", async () => {
  expect(first, first.stderr.slice(-2000)).toMatchObject({ status: 0 });
  const { baseId, targets, weights } = await readManifest(join(work, "base"));
  expect(weights).toBe("float16");
  const names = readdirSync(join(work, "shipped-adapters"));
  expect(names.sort()).toEqual(["library.mosara", "pirate.mosara"]);
  for (const name of names) {
    const adapter = decodeAdapter(readFileSync(join(work, "shipped-adapters", name)));
    expect(adapter.baseId).toBe(baseId);
    expect(adapter.card.heldOut).toMatchObject({ metric: "exact", examples: 8 });
  }
  expect(targets.length).toBeGreaterThan(0);
  expect(readFileSync(join(work, "base", "README.md"), "utf8")).toMatch(/\| copying \| [01]\.\d{3}/);
  expect(
    readFileSync(join(work, "docs", "butler.jsonl"), "utf8")
      .trim()
      .split("\n"),
  ).toHaveLength(200);
});

it("makes nothing twice", () => {
  const times = () => ["base-1", "base-2", "adapters/pirate.mosara"].map((name) => statSync(join(work, name)).mtimeMs);
  const before = times();
  const again = makeDemo();
  expect(again.status, again.stderr.slice(-2000)).toBe(0);
  expect(again.stderr).not.toMatch(/^\$ .*\btrain --model/m);
  expect(times()).toEqual(before);
}, 120_000);

it("writes graph and manifest again so that the adapters still fit", async () => {
  const before = await readManifest(join(work, "base"));
  const bytes = readFileSync(join(work, "base", "bases.safetensors"));
  const again = makeDemo("--rebuild");
  expect(again.status, again.stderr.slice(-2000)).toBe(0);
  expect(await readManifest(join(work, "base"))).toEqual(before);
  expect(readFileSync(join(work, "base", "bases.safetensors")).equals(bytes)).toBe(true);
  expect(readdirSync(join(work, "base"))).toContain("README.md");
}, 120_000);
