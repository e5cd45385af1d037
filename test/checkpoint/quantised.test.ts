/**
 * Quantised checkpoints: decoded as the libraries that own their formats do, kept as they are where a graph can hold
 * them.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { buildBase } from "../../src/base/build/build.ts";
import { MANIFEST_FILE } from "../../src/base/manifest.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { dequantized } from "../../src/model/serve/quantized-matrix.ts";
import { type HostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { casesIn, readJson } from "../helpers/fixtures.ts";
import { openTestRunner } from "../helpers/engine/runner.ts";

const GOLDEN = join(import.meta.dirname, "../golden/quantised");
const folder = mkdtempSync(join(tmpdir(), "mosara-quantised-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Expected {
  readonly input_ids: readonly number[];
  readonly last_logits: readonly number[];
  readonly sha256: Readonly<Record<string, string>>;
}

const OPTIONS = {
  blockSize: null,
  basisFrom: null,
  targets: "none",
  threshold: 0.25,
  maxRank: null,
  isSlim: false,
  numThreads: 1,
} as const;

const digest = (values: Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");

describe.each(casesIn(GOLDEN, "expected.json"))("%s", (name) => {
  const dir = join(GOLDEN, name);
  const expected = readJson<Expected>(dir, "expected.json");

  it("has the library's weights, bit for bit", async () => {
    await using checkpoint = await openCheckpoint(dir);
    const found: Record<string, string> = {};
    for (const { name: tensor } of checkpoint.tensors) found[tensor] = digest(toFloat32(await checkpoint.read(tensor)));
    expect(found).toEqual(expected.sha256);
  });

  it("reports that its own kernels round activations, if they do", async () => {
    const { quantization_config: settings } = readJson<{ quantization_config: Record<string, unknown> }>(
      dir,
      "config.json",
    );
    await using checkpoint = await openCheckpoint(dir);
    const rounds =
      JSON.stringify(settings).includes('"input_activations":{') || /fp8|modelopt/.test(String(settings.quant_method));
    expect(checkpoint.notices.some((notice) => notice.includes("activations are not rounded"))).toBe(rounds);
  });

  it("keeps exactly these weights where a graph can hold their numbers", async () => {
    await using checkpoint = await openCheckpoint(dir);
    for (const { name: tensor } of checkpoint.tensors) {
      if (!checkpoint.quantized?.layoutOf(tensor)) continue;
      const kept = dequantized(await checkpoint.quantized.read(tensor));
      expect(digest(Float32Array.from(kept)), tensor).toBe(expected.sha256[tensor]);
    }
  });

  it("gives transformers' logits, and is the same model as its float32 checkpoint", async () => {
    const base = join(folder, name);
    const { manifest } = await buildBase(dir, base, { ...OPTIONS, weights: "float32" });
    await using test = await openTestRunner(base);
    const logits = await test.score(expected.input_ids, { from: expected.input_ids.length - 1 });
    expectAllclose(logits, Float32Array.from(expected.last_logits), { rtolOfMax: 5e-5 }, name);
    // The base's files are the checkpoint without quantisation.
    rmSync(join(base, MANIFEST_FILE));
    const plain = join(folder, `${name}-plain`);
    cpSync(join(base, "weights.safetensors"), join(plain, "model.safetensors"));
    cpSync(join(base, "config.json"), join(plain, "config.json"));
    await inFloat32(join(plain, "model.safetensors"));
    const again = await buildBase(plain, join(folder, `${name}-again`), { ...OPTIONS, weights: "float32" });
    expect(again.manifest.baseId).toBe(manifest.baseId);
  });
});

async function inFloat32(path: string): Promise<void> {
  await using file = await openSafetensors(path);
  const tensors = new Map<string, HostTensor>();
  for (const [name, { shape }] of file.tensors)
    tensors.set(name, { dtype: "float32", shape, data: toFloat32(await file.read(name)) });
  const specs = [...tensors].map(([name, { shape }]) => ({ name, shape, dtype: "float32" as const }));
  await writeSafetensors(path, specs, async (name) => tensors.get(name)!, { format: "pt" }); // each spec is of the map
}

describe("a base of a quantised checkpoint", () => {
  it.each([
    ["gptq", 7],
    ["gptq-v2-act-order", 0], // groups in the order of activations, and groups of 16
    ["awq", 4], // v is not quantised, and is one product with q and k
    ["compressed-tensors", 1], // products of several formats, FP8, and groups of 16
    ["fp8-blocks", 0],
  ])("of %s keeps the numbers of %i matrices", async (name, kept) => {
    const { secondRounding } = await buildBase(join(GOLDEN, name), join(folder, `${name}-int4`), {
      ...OPTIONS,
      weights: "int4",
    });
    expect(secondRounding?.kept).toBe(kept);
  });
});

/** A copy of a golden checkpoint with other settings. */
function withSettings(name: string, as: string, change: Record<string, unknown>): string {
  const dir = join(folder, as);
  cpSync(join(GOLDEN, name), dir, { recursive: true });
  const config = readJson<{ quantization_config: object }>(dir, "config.json");
  const settings = { ...config.quantization_config, ...change };
  writeFileSync(join(dir, "config.json"), JSON.stringify({ ...config, quantization_config: settings }));
  return dir;
}

describe("a checkpoint whose weights cannot be read exactly", () => {
  it.each<[string, string, Record<string, unknown>, RegExp]>([
    ["of GPTQ with 3 bits", "gptq", { bits: 3 }, /says gptq, 3 bits\).*Use the unquantised checkpoint/],
    ["of GPTQ for Marlin", "gptq", { checkpoint_format: "marlin" }, /says gptq, 4 bits, format marlin\)/],
    ["of AWQ for gemv", "awq", { version: "gemv_fast" }, /says awq, 4 bits, packed for gemv_fast\)/],
    ["of ModelOpt in NVFP4", "modelopt-fp8", { quant_algo: "NVFP4" }, /says modelopt NVFP4\)/],
    ["in NVFP4", "compressed-tensors", { format: "nvfp4-pack-quantized" }, /in the format nvfp4-pack-quantized\)/],
    ["with rotations", "compressed-tensors", { transform_config: { config_groups: {} } }, /transform_config\)/],
    ["that is sparse", "compressed-tensors", { sparsity_config: { format: "sparse-24-bitmask" } }, /sparse-24-bitmask/],
    ["of bitsandbytes", "gptq", { quant_method: "bitsandbytes" }, /says bitsandbytes, 4 bits\).*Readable: GPTQ/],
  ])("%s is refused by name", async (as, name, change, message) => {
    await expect(openCheckpoint(withSettings(name, as, change))).rejects.toThrow(message);
  });

  it("is refused where a part is missing or has another shape", async () => {
    const dir = withSettings("gptq", "damaged", {});
    const path = join(dir, "model.safetensors");
    const text = readFileSync(path).toString("latin1");
    writeFileSync(path, text.replaceAll("o_proj.qzeros", "o_proj.zzeros"), "latin1");
    await expect(openCheckpoint(dir)).rejects.toThrow(/self_attn\.o_proj cannot be decoded: it lacks .*o_proj\.qzeros/);
    writeFileSync(path, text.replace(/("[^"]*o_proj\.scales":\{[^}]*"shape":)\[2,64\]/, "$1[64,2]"), "latin1");
    await expect(openCheckpoint(dir)).rejects.toThrow(/o_proj\.qzeros is int32 \[2,8\], not int32 \[64,/);
  });
});
