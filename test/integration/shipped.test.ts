/**
 * What is shipped: the adapters in adapters/, their cards, and the requests to measure them again with. Needs dist/.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ADAPTERS } from "../../scripts/demo/adapters.ts";
import { exampleLines } from "../../scripts/demo/make-adapter.ts";
import { decodeAdapter } from "../../src/adapter/adapter-file.ts";
import { readManifest } from "../../src/base/manifest.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { mosara } from "../helpers/server.ts";

const root = packageRoot();
const shippedDir = join(root, "adapters");
const files = readdirSync(shippedDir).filter((name) => name.endsWith(".mosara"));
const read = (file: string) => decodeAdapter(readFileSync(join(shippedDir, file)));

interface HeldOut {
  readonly metric: string;
  readonly examples: number;
  readonly base: number;
  readonly adapter: number;
  readonly adapterInterval: readonly [number, number];
  readonly baseInterval: readonly [number, number];
}
const heldOutOf = (file: string) => read(file).card.heldOut as unknown as HeldOut;

describe("the shipped adapters", () => {
  it("are those of the script, fit the base, and are of kilobytes", async () => {
    const { baseId } = await readManifest(join(root, "models", "demo"));
    expect(files.sort()).toEqual(ADAPTERS.map(({ name }) => `${name}.mosara`).sort());
    expect(files.length).toBeGreaterThanOrEqual(8);
    expect(new Set(files.map((file) => read(file).method))).toEqual(new Set(["mo-sara", "sara", "lora"]));
    for (const file of files) {
      expect(read(file).baseId, file).toBe(baseId);
      if (read(file).method === "mo-sara") expect(statSync(join(shippedDir, file)).size, file).toBeLessThan(64 * 1024);
    }
  });

  it("say on their cards what they reach on 200 held-out requests or more", () => {
    const good = files.map(heldOutOf).filter(({ base, adapter }) => base <= 0.2 && adapter >= 0.8);
    expect(good.length).toBeGreaterThanOrEqual(6);
    for (const file of files) expect(heldOutOf(file).examples, file).toBeGreaterThanOrEqual(200);
  });
});

describe("docs/demo", () => {
  const measured = readdirSync(join(root, "docs", "demo")).filter((name) => name.endsWith(".held-out.jsonl"));

  it.each(measured)(
    "holds requests that reproduce the score on the card: %s",
    async (file) => {
      const name = file.replace(".held-out.jsonl", "");
      const { metric, adapterInterval, baseInterval } = heldOutOf(`${name}.mosara`);
      const data = join(root, "docs", "demo", file);
      const files = ["--model", join(root, "models", "demo"), "--adapter", join(shippedDir, `${name}.mosara`)];
      const { code, stdout, stderr } = await mosara("eval", ...files, "--data", data, "--metric", metric, "--json");
      expect(code, stderr).toBe(0);
      const result = JSON.parse(stdout) as { value: number; base: { value: number } };
      for (const [value, [low, high]] of [
        [result.value, adapterInterval],
        [result.base.value, baseInterval],
      ] as const) {
        expect(value).toBeGreaterThanOrEqual(low);
        expect(value).toBeLessThanOrEqual(high);
      }
    },
    300_000,
  );

  it("has at least one of them, as the script makes it", () => {
    expect(measured.length).toBeGreaterThanOrEqual(1);
    for (const file of measured) {
      const adapter = ADAPTERS.find(({ name }) => `${name}.held-out.jsonl` === file);
      expect(adapter, file).toBeDefined();
      const text = readFileSync(join(root, "docs", "demo", file), "utf8");
      const made = adapter ? exampleLines(adapter, text.trim().split("\n").length, 22, "held-out") : "";
      expect(text).toBe(made);
    }
  });
});
