/** The measurement of a card runs to its end, on a model so small that its times mean nothing. Needs dist/. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { tempDir } from "../helpers/server.ts";
import { describeOnWebgpu } from "../helpers/engine/webgpu.ts";

const RUN = fileURLToPath(new URL("../../dist/load-tests/run.js", import.meta.url));
const TIMEOUT_MS = 900_000;

interface Written {
  readonly results: readonly {
    readonly figures: readonly { readonly what: string; readonly unit: string; readonly samples: readonly number[] }[];
  }[];
}

describeOnWebgpu("npm run bench -- gpu --smoke", () => {
  it("gives every figure that a card is measured by", { timeout: TIMEOUT_MS }, () => {
    const folder = tempDir();
    const out = join(folder, "gpu.json");
    const flags = ["gpu", "--smoke", "--weights", "int8", "--bandwidth", "10", "--work", folder, "--out", out];
    const { status, stderr } = spawnSync(process.execPath, [RUN, ...flags], { encoding: "utf8", timeout: TIMEOUT_MS });
    expect(status, stderr).toBe(0);
    const { results } = JSON.parse(readFileSync(out, "utf8")) as Written;
    const figures = new Map(results.flatMap((result) => result.figures).map((figure) => [figure.what, figure]));
    for (const [what, unit] of [
      ["decode, rows: 1, bare", "tokens/s"],
      ["decode, rows: 4, bare", "tokens/s"],
      ["decode, rows: 1, one adapter on q,v ÷ bare", "×"],
      ["decode, rows: 4, all different on q,v ÷ bare", "×"],
      ["decode, rows: 4 ÷ 16 rows on two cores of the CPU", "×"],
      ["decode, 1 row ÷ bound of the memory's bandwidth", "×"],
      ["prefill, 64-token chunks, bare", "tokens/s"],
      ["decode, rows: 4, processor time of a step", "ms"],
    ] as const) {
      const figure = figures.get(`tiny int8: ${what}`);
      expect(figure?.unit, what).toBe(unit);
      expect(
        figure?.samples.every((sample) => sample > 0),
        what,
      ).toBe(true);
    }
  });
});
