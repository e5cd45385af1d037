/**
 * A model that was quantised before: what a graph can hold as it is keeps its numbers bit for bit, and the rest is
 * counted.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SERVE_GRAPH_FILE, SERVE_WEIGHTS_FILE } from "../../../src/base/base.ts";
import { type BuildOptions, type BuildResult, buildBase } from "../../../src/base/build/build.ts";
import { matricesOf } from "../../../src/base/build/choose-layouts.ts";
import { type Checkpoint, openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { decodeModel } from "../../../src/formats/onnx-proto.ts";
import {
  type MatrixPart,
  type QuantizedMatrix,
  dequantized,
  emptyMatrix,
} from "../../../src/model/serve/quantized-matrix.ts";
import { layoutOf } from "../../../src/model/serve/weight-layouts.ts";
import { float16ToFloat32 } from "../../../src/tensor/float16.ts";
import { toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { quantizedGguf } from "../../helpers/models/gguf-blocks.ts";

const folder = mkdtempSync(join(tmpdir(), "mosara-rounding-"));
afterAll(() => rmSync(folder, { recursive: true }));

const FILE = quantizedGguf(folder);
const OPTIONS: BuildOptions = {
  weights: "int8",
  blockSize: null,
  basisFrom: null,
  targets: "none",
  threshold: 0.25,
  maxRank: null,
  isSlim: false,
  numThreads: 1,
};

/** What the serving graph's numbers of a group stand for. */
function servedWeights(dir: string, { manifest }: BuildResult, group: string, dOut: number, dIn: number): Float32Array {
  const layout = layoutOf(manifest.layouts!, group); // of a quantised base
  const matrix = emptyMatrix(dOut, dIn, layout);
  const weights = readFileSync(join(dir, SERVE_WEIGHTS_FILE));
  for (const { name, externalData = [] } of decodeModel(readFileSync(join(dir, SERVE_GRAPH_FILE))).graph.initializer) {
    if (!name.startsWith(`${group}.int`)) continue;
    const place = Object.fromEntries(externalData.map(({ key, value }) => [key, value]));
    const bytes = weights.subarray(Number(place.offset), Number(place.offset) + Number(place.length));
    fill(matrix, name.split(".").at(-1) as MatrixPart, Uint8Array.from(bytes));
  }
  return Float32Array.from(dequantized(matrix));
}

function fill(matrix: QuantizedMatrix, part: MatrixPart, bytes: Uint8Array): void {
  const values = part === "packed" || part === "zeroPoints" ? bytes : numbers(matrix, bytes);
  matrix[part]?.set(values);
}

function numbers({ layout }: QuantizedMatrix, bytes: Uint8Array): Float32Array {
  return layout.scaleType === "float32"
    ? new Float32Array(bytes.buffer)
    : float16ToFloat32(new Uint16Array(bytes.buffer));
}

async function storedWeights(checkpoint: Checkpoint, tensors: readonly string[]): Promise<Float32Array> {
  const values: number[] = [];
  for (const name of tensors) values.push(...toFloat32(await checkpoint.read(name)));
  return Float32Array.from(values);
}

describe("a model that was quantised before", () => {
  it("keeps the numbers of whatever a graph can hold as it is, and says what the rest costs", async () => {
    const dir = join(folder, "base");
    const built = await buildBase(FILE, dir, OPTIONS);
    await using checkpoint = await openCheckpoint(FILE);
    const kept: string[] = [];
    for (const { group, dIn, tensors } of matricesOf(checkpoint)) {
      const wanted = await storedWeights(checkpoint, tensors);
      const found = servedWeights(dir, built, group, wanted.length / dIn, dIn);
      if (found.every((value, i) => value === wanted[i])) kept.push(group);
    }
    // Gate and up are one product, of two types; Q5_0 has more levels than 4 bits and fewer than 8.
    expect(kept).toEqual(["layers.0.self_attn.qkv", "layers.0.self_attn.o", "layers.0.mlp.down", "lm_head"]);
    expect(built.secondRounding).toMatchObject({ kept: 6, rounded: { Q8_0: 1, Q5_0: 1 } });
    expect(built.secondRounding!.relativeError).toBeGreaterThan(0);
    expect(built.secondRounding!.relativeError).toBeLessThan(0.02);
  });

  it("rounds everything again into blocks of another size, where that is asked for", async () => {
    const { secondRounding } = await buildBase(FILE, join(folder, "base-16"), { ...OPTIONS, blockSize: 16 });
    expect(secondRounding!.kept).toBe(0);
  });

  it("has nothing to say where nothing is quantised", async () => {
    const { secondRounding } = await buildBase(FILE, join(folder, "base-32"), { ...OPTIONS, weights: "float32" });
    expect(secondRounding).toBeNull();
  });
});
