/**
 * What is compared with llama.cpp: the divergence by hand, and, where its server is there, that both compute the same
 * model.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { meanDivergence } from "../../load-tests/peers/divergence.ts";

const RUN = fileURLToPath(new URL("../../dist/load-tests/run.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mosara-peer-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const logs = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log);

describe("the divergence", () => {
  it("is Σ p ln(p/q) as a mean over rows, and 0 from itself", () => {
    const p = logs(0.5, 0.5, 0.25, 0.75);
    const q = logs(0.25, 0.75, 0.25, 0.75);
    const first = 0.5 * Math.log(2) + 0.5 * Math.log(2 / 3);
    expect(meanDivergence(p, q, 2)).toBeCloseTo(first / 2, 6);
    expect(meanDivergence(p, p, 2)).toBe(0);
  });

  it("takes no part of what is impossible", () => {
    expect(meanDivergence(logs(0, 1), logs(0, 1), 2)).toBe(0);
  });
});

const figuresOf = (...args: string[]): Map<string, readonly number[]> => {
  const out = join(folder, "out.json");
  const run = spawnSync(process.execPath, [RUN, "peer", "--smoke", "--work", folder, "--out", out, ...args], {
    encoding: "utf8",
  });
  expect(run.status, run.stderr).toBe(0);
  const { results } = JSON.parse(readFileSync(out, "utf8")) as {
    results: { figures: { what: string; samples: number[] }[] }[];
  };
  return new Map(results.flatMap(({ figures }) => figures).map(({ what, samples }) => [what, samples]));
};

const server = process.env.MOSARA_LLAMA_SERVER;
if (server === undefined)
  process.stderr.write("beside llama.cpp: left out, MOSARA_LLAMA_SERVER does not name its server\n");

describe.skipIf(server === undefined)("beside llama.cpp's server", () => {
  it("finds its float32 the same as ours, and answers from both", { timeout: 180_000 }, () => {
    const figures = figuresOf("--weights", "int8,int4");
    for (const value of figures.get("divergence from float32 (mean KL): llama.cpp's F32") ?? [NaN])
      expect(Math.abs(value)).toBeLessThan(0.1); // 1e-4 nats
    for (const what of [
      "int8 ÷ Q8_0: 16 clients on the base",
      "int4 ÷ Q4_0: prefill",
      "int8 ÷ Q8_0: 16 clients on 16 LoRA",
    ])
      expect(figures.get(what)?.[0], what).toBeGreaterThan(0);
  });
});

describe.skipIf(server !== undefined)("without llama.cpp", () => {
  it("still reports what our own formats cost", { timeout: 60_000 }, () => {
    const figures = figuresOf("--weights", "int8");
    expect([...figures.keys()]).toHaveLength(4);
    for (const [what, samples] of figures)
      expect(
        samples.every((value) => value > -0.1),
        what,
      ).toBe(true);
  });
});
