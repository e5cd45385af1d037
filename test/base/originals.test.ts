/**
 * Bases of GGUF files and quantised checkpoints: every original is stored once, in the file's own numbers, and is
 * bit-identical.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  BASES_FILE,
  ORIGINALS_FILE,
  SERVE_GRAPH_FILE,
  SERVE_WEIGHTS_FILE,
  WEIGHTS_FILE,
  openBase,
} from "../../src/base/base.ts";
import { fileWeights } from "../../src/base/file-weights.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { decodeModel } from "../../src/formats/onnx-proto.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { Graph } from "../../src/graph/graph.ts";
import { externalTensors, serializeGraph } from "../../src/graph/serialize.ts";
import { LM_HEAD_GROUP, formatOf } from "../../src/model/serve/weight-layouts.ts";
import { EMBEDDING } from "../../src/model/weight-names.ts";
import { GraphWeights } from "../../src/model/weights.ts";
import { hostTensorOf, openSession, runtimeTensor } from "../../src/runtime/ort.ts";
import { type HostTensor, bytesOf, hostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { GGUF_GOLDEN, casesIn } from "../helpers/fixtures.ts";
import { quantizedGguf } from "../helpers/models/gguf-blocks.ts";

const folder = mkdtempSync(join(tmpdir(), "mosara-originals-"));
afterAll(() => rmSync(folder, { recursive: true }));
const family = (name: string): string => join(GGUF_GOLDEN, "families", name, "model.gguf");
const asFloat32 = ({ shape, ...tensor }: HostTensor): Buffer =>
  Buffer.from(bytesOf(hostTensor("float32", shape, toFloat32({ shape, ...tensor }))));

describe.each([
  ["blocks of several types", quantizedGguf(folder), "Q5_0"],
  ["a tied embedding", family("qwen2"), null],
  ["a head of its own and transposed names", family("mistral"), null],
  ["blocks beside float16", family("qwen3"), null],
])("a base of %s", (_, path, coded) => {
  it.each(["int8", "int4"] as const)("has the file's tensors in %s", async (weights) => {
    await using checkpoint = await openCheckpoint(path);
    await using base = await openBase(await builtBase(path, { targets: "none", weights }));
    for (const { name } of checkpoint.tensors) {
      const found = asFloat32(await base.source.read(name));
      expect(found.equals(asFloat32(await checkpoint.read(name))), name).toBe(true);
    }
    const { originals } = base.manifest;
    expect(Object.values(originals)).toContain("served");
    await using weightsFile = await openSafetensors(join(base.dir, WEIGHTS_FILE));
    expect(Object.keys(originals).filter((name) => weightsFile.tensors.has(name))).toEqual([]);
    if (coded === null) return;
    await using blocks = await openSafetensors(join(base.dir, ORIGINALS_FILE));
    const others = Object.keys(originals).filter((name) => originals[name] !== "served");
    expect([...blocks.tensors.keys()].sort()).toEqual(others.sort());
    expect(Object.values(originals)).toContain(coded);
  });
});

const QUANTISED = join(import.meta.dirname, "../golden/quantised");

describe.each(casesIn(QUANTISED, "expected.json"))("a base of the quantised checkpoint %s", (name) => {
  const path = join(QUANTISED, name);

  it.each([
    ["int8", null],
    ["int4", null],
    ["int8", 64], // no matrix keeps its numbers in blocks of this size
  ] as const)(
    "has the checkpoint's tensors in %s, blocks %s, and stores none in float32",
    async (weights, blockSize) => {
      await using checkpoint = await openCheckpoint(path);
      await using base = await openBase(await builtBase(path, { targets: "none", weights, blockSize }));
      const { originals } = base.manifest;
      await using weightsFile = await openSafetensors(join(base.dir, WEIGHTS_FILE));
      for (const { name: tensor } of checkpoint.tensors) {
        const found = asFloat32(await base.source.read(tensor));
        expect(found.equals(asFloat32(await checkpoint.read(tensor))), tensor).toBe(true);
        if ((checkpoint.quantized?.typeOf(tensor) ?? null) === null) continue;
        expect(originals[tensor], tensor).toBeDefined();
        expect(weightsFile.tensors.has(tensor), tensor).toBe(false);
      }
      if (blockSize !== null) expect(Object.values(originals)).not.toContain("served");
      const files = [WEIGHTS_FILE, ORIGINALS_FILE].map((file) => join(base.dir, file)).filter(existsSync);
      const stored = files.map((file) => statSync(file).size).reduce((a, b) => a + b);
      expect(stored).toBeLessThan(1.02 * statSync(join(path, "model.safetensors")).size);
    },
  );
});

it.each([family("qwen2"), quantizedGguf(folder)])("reads rows of the embedding of %s from levels", async (path) => {
  await using checkpoint = await openCheckpoint(path);
  await using base = await openBase(await builtBase(path, { targets: "none", weights: "int8" }));
  expect(base.manifest.originals[EMBEDDING]).toBe("served");
  const known = externalTensors(decodeModel(readFileSync(join(base.dir, SERVE_GRAPH_FILE))));
  const graph = new Graph("rows");
  const weights = new GraphWeights(graph, base.source, (name) => known.get(name));
  const ids = [3, 0, 7, 3];
  const format = formatOf(base.manifest.layouts, LM_HEAD_GROUP);
  graph.output(weights.embeddingRows(graph.input("ids", "int64", ["M"]), format), "rows");
  await using session = await openSession(serializeGraph(graph), {
    device: "cpu",
    numThreads: 1,
    weightsDir: base.dir,
  });
  const feeds = { ids: runtimeTensor("int64", BigInt64Array.from(ids, BigInt), [ids.length]) };
  const { rows } = await session.run(feeds, ["rows"]);
  const table = toFloat32(await checkpoint.read(EMBEDDING));
  const width = base.manifest.config.hiddenSize;
  const wanted = ids.flatMap((id) => [...table.subarray(id * width, (id + 1) * width)]);
  expect([...(hostTensorOf(rows!).data as Float32Array)]).toEqual(wanted); // it was fetched
});

it("gives graphs the tensors in files, and removes them", async () => {
  await using base = await openBase(await builtBase(family("qwen2"), { targets: ["q_proj"], weights: "int8" }));
  const weights = await fileWeights(base);
  expect(readdirSync(weights.dir)).toContain(BASES_FILE);
  const place = weights.source.stored(EMBEDDING);
  expect(statSync(join(weights.dir, place.location)).size).toBeGreaterThanOrEqual(place.offset + place.length);
  await weights[Symbol.asyncDispose]();
  expect(() => statSync(weights.dir)).toThrow(/ENOENT/);
});

it("takes no more than the file's blocks, where the graph can hold them", async () => {
  const dir = await builtBase(family("qwen2"), { targets: "none", weights: "int8" });
  const sizes = [WEIGHTS_FILE, SERVE_WEIGHTS_FILE].map((name) => statSync(join(dir, name)).size);
  expect(sizes.reduce((a, b) => a + b)).toBeLessThan(1.1 * statSync(family("qwen2")).size);
});
