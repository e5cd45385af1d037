/** The load tests run, on a model so small that their times mean nothing: every scenario gives its figures. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { hasPython } from "../helpers/outside/python.ts";

const RUN = fileURLToPath(new URL("../../dist/load-tests/run.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mosara-bench-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bench = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  spawnSync(process.execPath, [RUN, ...args], { encoding: "utf8", env: { ...process.env, ...env } });
const readFigures = (path: string) =>
  (JSON.parse(readFileSync(path, "utf8")) as Written).results.flatMap((result) => result.figures);

interface Written {
  readonly commit: string;
  readonly results: readonly {
    readonly scenario: string;
    readonly figures: readonly { readonly what: string; readonly unit: string; readonly samples: readonly number[] }[];
  }[];
}

it("prints every scenario's figures as a table and writes them to a file", { timeout: 900_000 }, () => {
  const out = join(folder, "out.json");
  const scenarios = ["build", "blocks", "ceiling", "engine", "http", "train"];
  const { status, stdout, stderr } = bench(
    [...scenarios, "--smoke", "--weights", "int8", "--work", folder, "--out", out],
    { MOSARA_PYTHON: join(folder, "no-python") },
  );
  expect(status, stderr).toBe(0);
  expect(stderr).toContain("no comparison");
  const written = JSON.parse(readFileSync(out, "utf8")) as Written;
  expect(written.results.map(({ scenario }) => scenario)).toEqual(scenarios);
  const figures = readFigures(out);
  for (const { what, samples } of figures) {
    expect(samples.length, what).toBeGreaterThan(0);
    expect(samples.every(Number.isFinite), what).toBe(true);
  }
  const rows = (stdout.split("| scenario |")[1] ?? "").split("\n").filter((line) => / \| .* \| /.test(line));
  expect(rows).toHaveLength(figures.length + 2); // a head, and the line under it
  expect(readFileSync(join(folder, "out.md"), "utf8")).toBe(stdout);
  expect(readFileSync(join(folder, "out.svg"), "utf8")).toContain("decode, 16 rows, 16 adapters on q,v ÷ bare");
  for (const [what, unit] of [
    ["int8: build", "s"],
    ["int8: peak memory", "MB"],
    ["int8: decode, 16 rows, bare", "tokens/s"],
    ["int8: decode, 16 rows bare ÷ 1 row bare", "×"],
    ["int8: decode, 16 rows, 16 adapters on q,v ÷ bare", "×"],
    ["int8: decode, 16 rows, 16 adapters on default ÷ bare", "×"],
    ["int8: decode, 16 rows, bare ÷ products alone", "×"],
    ["int8: decode, 16 rows, blocks of 128 ÷ of 32", "×"],
    ["int8: prefill, 64-token chunks, bare", "tokens/s"],
    ["int8: 16 clients ÷ engine driven directly", "×"],
    ["int8: first token, (new − 5 ms) ÷ resident", "×"],
    ["adapter (M): step, ours", "ms"],
    ["pretraining (S): peak memory, ours", "MB"],
  ])
    expect(figures.find((figure) => figure.what === what)?.unit, what).toBe(unit);
});

describe.skipIf(!hasPython(["torch"], "training steps beside PyTorch's"))("beside PyTorch", () => {
  it("has the same losses before and after a step, of an adapter and of a whole model", { timeout: 900_000 }, () => {
    const out = join(folder, "train.json");
    const { status, stderr } = bench(["train", "--smoke", "--work", folder, "--out", out]);
    expect(status, stderr).toBe(0);
    const distances = readFigures(out).filter(({ what }) => what.includes("distance"));
    expect(distances).toHaveLength(4);
    for (const { what, unit, samples } of distances) {
      expect(unit).toBe("1e-6");
      expect(samples[0], what).toBeLessThan(20);
    }
  });
});

it("lists its scenarios and flags", () => {
  const { status, stdout } = bench(["--help"]);
  expect(status).toBe(0);
  for (const word of ["build", "engine", "http", "train", "--smoke", "--out", "--layers"])
    expect(stdout).toContain(` ${word} `);
});

it.each([["nothing"], ["--rounds=0"], ["--weights=int5"], ["--threshold=2"], ["--unknown"]])(
  "refuses %s with one line and exit code 2",
  (argument) => {
    const { status, stdout, stderr } = bench([argument, "--work", folder]);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^bench: .+\n$/);
  },
);
