import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { buildBase } from "../../src/base/build/build.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { hostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { writeTexts } from "../helpers/models/checkpoints.ts";
import { GGUF_GOLDEN, casesIn, readJson } from "../helpers/fixtures.ts";

/**
 * What llama.cpp's own converter made of the golden models (`test/golden/gguf/make.py`): the checkpoints that they were
 * have to come out again.
 */
const FAMILIES = join(GGUF_GOLDEN, "families");
const MODELS = join(GGUF_GOLDEN, "..", "models");
/** Their models have fewer words than the tokenizer that their files get, which is Llama's. */
const FURTHER = join(GGUF_GOLDEN, "..", "families");

interface Expected {
  readonly layers: readonly number[] | null;
  /** Ids of texts by SentencePiece itself. */
  readonly pieces?: Readonly<Record<string, readonly number[]>>;
}

const folder = mkdtempSync(join(tmpdir(), "mosara-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The (first) GGUF file of a case. */
function fileOf(name: string): string {
  const names = readdirSync(join(FAMILIES, name)).filter((one) => one.endsWith(".gguf"));
  return join(FAMILIES, name, names.sort()[0] ?? "");
}

/** A golden tensor, where the case's layers may be copies of others. */
const sourceName = (name: string, layers: readonly number[] | null): string =>
  name.replace(/\.layers\.(\d+)\./, (_, layer: string) => `.layers.${layers?.[Number(layer)] ?? layer}.`);

describe.each(casesIn(FAMILIES, "expected.json"))("%s", (name) => {
  const expected = readJson<Expected>(FAMILIES, name, "expected.json");

  it("has the configuration of its checkpoint", async () => {
    await using checkpoint = await openCheckpoint(fileOf(name));
    const { family, ...wanted } = parseModelConfig(readJson(FAMILIES, name, "config.json"));
    // llama.cpp has no architecture of its own for Mistral, which without windows is Llama.
    expect(checkpoint.config).toEqual({ ...wanted, family: family === "mistral" ? "llama" : family });
  });

  it("has the tensors of its checkpoint", async () => {
    await using checkpoint = await openCheckpoint(fileOf(name));
    await using golden = await openCheckpoint(join(existsSync(join(MODELS, name)) ? MODELS : FURTHER, name));
    expect(checkpoint.tensors.length).toBeGreaterThanOrEqual(golden.tensors.length);
    for (const { name: tensorName } of checkpoint.tensors) {
      const read = toFloat32(await checkpoint.read(tensorName));
      const wanted = toFloat32(await golden.read(sourceName(tensorName, expected.layers)));
      const hasFewer = existsSync(join(FURTHER, name)) && /embed_tokens|lm_head/.test(tensorName);
      const found = hasFewer ? read.subarray(0, wanted.length) : read;
      expect(found.length, tensorName).toBe(wanted.length);
      // Half a step of Q8_0's coarsest block; other types are closer.
      const tolerance = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0) * (0.52 / 127);
      // Of one length.
      const greatest = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0);
      expect(greatest, tensorName).toBeLessThanOrEqual(tolerance);
    }
  });

  it("has the ids of its tokenizer", async () => {
    await using checkpoint = await openCheckpoint(fileOf(name));
    const dir = await writeTexts(checkpoint, join(folder, name));
    const tokenizer = await loadTokenizer(dir);
    const model = existsSync(join(MODELS, name)) ? name : "llama";
    const golden = readJson<{ tokenizer: { text: string; ids: number[] }[] }>(MODELS, model, "expected.json").tokenizer;
    const byWords = golden.map(({ text, ids }) => [text, ids] as const);
    for (const [text, ids] of expected.pieces ? Object.entries(expected.pieces) : byWords)
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
  });
});

describe("a GGUF file in float16", () => {
  it("holds the rounded weights of its checkpoint bit for bit, split into several files or not", async () => {
    await using checkpoint = await openCheckpoint(fileOf("llama"));
    await using golden = await openCheckpoint(join(MODELS, "llama"));
    expect(readdirSync(join(FAMILIES, "llama")).filter((one) => one.endsWith(".gguf")).length).toBeGreaterThan(1);
    for (const { name, dtype, shape } of checkpoint.tensors) {
      const wanted = toFloat32(await golden.read(name));
      const found = await checkpoint.read(name);
      expect(dtype, name).toBe(shape.length === 1 ? "float32" : "float16");
      expect(found.dtype, name).toBe(dtype);
      const rounded = dtype === "float32" ? wanted : Float32Array.from(wanted, (value) => roundToHalf(value));
      expect(toFloat32(found), name).toEqual(rounded);
    }
  });

  it("is the same base as the checkpoint in float32 that it becomes", async () => {
    const options = {
      weights: "float32",
      blockSize: null,
      basisFrom: null,
      targets: "none",
      threshold: 0.25,
      maxRank: null,
      isSlim: false,
      numThreads: 1,
    } as const;
    const dir = join(folder, "converted");
    await using checkpoint = await openCheckpoint(fileOf("llama"));
    await writeTexts(checkpoint, dir);
    const specs = checkpoint.tensors.map(({ name, shape }) => ({ name, shape, dtype: "float32" as const }));
    await writeSafetensors(join(dir, "model.safetensors"), specs, async (name) => {
      const tensor = await checkpoint.read(name);
      return hostTensor("float32", tensor.shape, toFloat32(tensor));
    });
    const converted = await buildBase(dir, join(folder, "base-of-converted"), options);
    const direct = await buildBase(fileOf("llama"), join(folder, "base-of-gguf"), options);
    expect(direct.manifest.baseId).toBe(converted.manifest.baseId);
    expect(direct.manifest.endTokenIds).toEqual([1]);
  });
});

/** Through the bits of binary16, by the platform's own rounding of a DataView where there is one, else by hand. */
function roundToHalf(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude === 0) return value;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const step = 2 ** (exponent - 10);
  const steps = magnitude / step;
  const floor = Math.floor(steps);
  const isUp = steps - floor > 0.5 || (steps - floor === 0.5 && floor % 2 === 1);
  return Math.sign(value) * (floor + (isUp ? 1 : 0)) * step;
}
