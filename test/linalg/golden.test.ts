/**
 * Against PyTorch's float64 SVD (test/golden/training/README.md). Cases and thresholds are those found in the files.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors, type SafetensorsFile } from "../../src/formats/safetensors.ts";
import { rankForThreshold } from "../../src/linalg/rank.ts";
import { truncatedSvd } from "../../src/linalg/truncated-svd.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";
import { expectSvdLaws, reconstruct } from "./laws.ts";

interface LayersJson {
  readonly basis_threshold: number;
  readonly layers: Record<string, { shape: [number, number]; sum: number; k: Record<string, number> }>;
}
type MatricesJson = Record<
  string,
  { shape: [number, number]; rank: number; nuclear_norm: number; k: Record<string, number>; truncated_at?: number[] }
>;

const dir = fixturesDir("training");
const layers = readJson<LayersJson>(dir, "svd.json");
const matrices = readJson<MatricesJson>(dir, "linalg.json");
const layersFile = await openSafetensors(join(dir, "svd.safetensors"));
const matricesFile = await openSafetensors(join(dir, "linalg.safetensors"));
const baseFile = await openSafetensors(join(dir, "base", "model.safetensors"));

async function numbers(file: SafetensorsFile, name: string): Promise<Float32Array> {
  return Float32Array.from((await file.read(name)).data as Float32Array | Float64Array);
}

/** The thresholds below 1: at 1 rounding decides (README §5). */
function thresholdsOf(k: Record<string, number>): [number, number][] {
  const found = Object.entries(k).map(([threshold, rank]): [number, number] => [Number(threshold), rank]);
  const below = found.filter(([threshold]) => threshold < 1);
  expect(below.length).toBeGreaterThan(0);
  return below;
}

/** The first `k` columns of a [rows,width] matrix. */
function leadingColumns(matrix: Float32Array, rows: number, k: number): Float32Array {
  const width = matrix.length / rows;
  return Float32Array.from({ length: rows * k }, (_, i) => matrix[Math.floor(i / k) * width + (i % k)] as number);
}

describe.each(Object.entries(layers.layers))("layer %s", (name, expected) => {
  const [dOut, dIn] = expected.shape;

  it("has PyTorch's singular values, their sum and every threshold's rank", async () => {
    const weight = await numbers(baseFile, `model.${name}.weight`);
    const svd = await truncatedSvd(weight, dOut, dIn, { threshold: layers.basis_threshold });
    expectSvdLaws(weight, dOut, dIn, svd);
    expectAllclose(svd.singularValues, await numbers(layersFile, `${name}.singular_values`), { atol: 1e-6 });
    expect(Math.abs(svd.nuclearNorm / expected.sum - 1)).toBeLessThan(1e-9);
    for (const [threshold, k] of thresholdsOf(expected.k)) {
      expect(rankForThreshold(svd.singularValues, threshold), `threshold ${threshold}`).toBe(k);
      expect((await truncatedSvd(weight, dOut, dIn, { threshold })).k, `threshold ${threshold}`).toBe(k);
    }
  });

  if (layersFile.tensors.has(`${name}.U`))
    it("has PyTorch's leading vectors with their signs", async () => {
      const weight = await numbers(baseFile, `model.${name}.weight`);
      const { U, V } = await truncatedSvd(weight, dOut, dIn, { threshold: layers.basis_threshold });
      expectAllclose(U, await numbers(layersFile, `${name}.U`), { atol: 1e-6 }, "U");
      expectAllclose(V, await numbers(layersFile, `${name}.V`), { atol: 1e-6 }, "V");
    });
});

describe.each(Object.entries(matrices))("matrix %s", (name, expected) => {
  const [dOut, dIn] = expected.shape;

  it("has PyTorch's singular values, nuclear norm and every threshold's rank", async () => {
    const weight = await numbers(matricesFile, `${name}.matrix`);
    for (const [threshold, k] of thresholdsOf(expected.k)) {
      const svd = await truncatedSvd(weight, dOut, dIn, { threshold });
      expect(svd.k, `threshold ${threshold}`).toBe(k);
      expectSvdLaws(weight, dOut, dIn, svd);
      expectAllclose(svd.singularValues, await numbers(matricesFile, `${name}.singular_values`), {
        atol: 1e-7,
        rtolOfMax: 1e-7,
      });
      expect(Math.abs(svd.nuclearNorm - expected.nuclear_norm)).toBeLessThanOrEqual(1e-9 * expected.nuclear_norm);
    }
  });

  it("keeps orthonormal vectors without NaN up to the numerical rank", async () => {
    const weight = await numbers(matricesFile, `${name}.matrix`);
    const svd = await truncatedSvd(weight, dOut, dIn, { threshold: 1 });
    expectSvdLaws(weight, dOut, dIn, svd);
    if (!matricesFile.tensors.has(`${name}.U`)) return;
    // Vectors of tiny values: their squares come close to the rounding of float64.
    const k = svd.sigma.filter((value) => value >= 1e-4 * (svd.sigma[0] as number)).length;
    for (const [side, rows, actual] of [
      ["U", dOut, svd.U],
      ["V", dIn, svd.V],
    ] as const) {
      const golden = leadingColumns(await numbers(matricesFile, `${name}.${side}`), rows, k);
      expectAllclose(leadingColumns(actual, rows, k), golden, { atol: 1e-6 }, side);
    }
  });

  if (expected.truncated_at)
    it("has PyTorch's truncations where single vectors are not unique", async () => {
      const weight = await numbers(matricesFile, `${name}.matrix`);
      for (const maxRank of expected.truncated_at ?? []) {
        const svd = await truncatedSvd(weight, dOut, dIn, { threshold: 1, maxRank });
        expectAllclose(reconstruct(svd), await numbers(matricesFile, `${name}.truncated_${maxRank}`), { atol: 1e-6 });
      }
    });
});

it("finds cases", () => {
  expect(Object.keys(layers.layers).length).toBeGreaterThan(0);
  expect(Object.keys(matrices).length).toBeGreaterThan(0);
});
