/** Opening a model: how long a sequence may be, and settings that are refused instead of being bent. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { openRunner } from "../../../src/engine/process/open-runner.ts";
import type { EngineOptions } from "../../../src/engine/protocol.ts";
import { bytesPerPosition } from "../../../src/engine/kv/kv-cache.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { TOY_CONFIG, writeCheckpoint } from "../../helpers/models/checkpoints.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-runner-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const POSITIONS = 300;
const baseDir = await builtBase(
  await writeCheckpoint(join(scratch, "toy"), { ...TOY_CONFIG, max_position_embeddings: POSITIONS }),
  { targets: "none" },
);
/** Bytes of one row of so many positions. */
const row = (positions: number): number => positions * bytesPerPosition({ numLayers: 1, numKvHeads: 1, headSize: 8 });

async function lengthOf(changes: Partial<EngineOptions>): Promise<number> {
  const runner = await openRunner({
    baseDir,
    storeDir: join(scratch, "store"),
    device: "cpu",
    numThreads: 1,
    maxNumSeqs: 2,
    maxModelLen: null,
    kvCacheBytes: row(4096),
    adapterCacheBytes: 1000,
    maxLiveRank: 64,
    maxQueue: 1,
    maxQueueTokens: 1,
    usesPrefixCache: false,
    maxDraft: 0,
    requiresBatchInvariance: true,
    takesAdapters: false,
    ...changes,
  });
  await runner.close();
  return runner.maxModelLen;
}

describe("the longest sequence", () => {
  it("is the model's, or what one row of the cache holds", async () => {
    expect(await lengthOf({})).toBe(POSITIONS);
    expect(await lengthOf({ kvCacheBytes: row(300) })).toBe(256);
  });

  it("is longer with an int8 cache: codes of a byte, and a scale of two bytes for each small head", async () => {
    expect(await lengthOf({ kvCacheDtype: "int8", kvCacheBytes: 256 * 2 * (8 + 2) })).toBe(256);
    expect(await lengthOf({ kvCacheDtype: "int8", kvCacheBytes: 256 * 2 * (8 + 2) - 1 })).toBe(192);
  });

  it("is what was asked for, never less in silence", async () => {
    expect(await lengthOf({ maxModelLen: 200 })).toBe(200);
    expect(await lengthOf({ maxModelLen: 256, kvCacheBytes: row(256) })).toBe(256);
    await expect(lengthOf({ maxModelLen: POSITIONS + 1 })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/--max-model-len 301 is more than the model's 300 positions/),
    });
    await expect(lengthOf({ maxModelLen: 200, kvCacheBytes: row(255) })).rejects.toMatchObject({
      code: "insufficient_memory",
      message: expect.stringMatching(/holds 192 tokens of one sequence of this model, expected 200.*--max-model-len/),
    });
  });

  it("has to be a short one at least", async () => {
    await expect(lengthOf({ kvCacheBytes: row(63) })).rejects.toMatchObject({
      code: "insufficient_memory",
      message: expect.stringMatching(/holds 0 tokens/),
    });
  });
});

it.each(["webgpu", "cuda"] as const)("an int8 cache is refused on %s", async (device) => {
  await expect(lengthOf({ device, kvCacheDtype: "int8" })).rejects.toMatchObject({
    code: "usage",
    message: `--kv-cache-dtype int8 needs --device cpu, but --device is ${device}. Omit --kv-cache-dtype on this device.`,
  });
});

it.each([
  ["webgpu", /Vulkan loader .*VK_DRIVER_FILES/],
  ["cuda", /ONNXRUNTIME_NODE_INSTALL=cuda12/],
] as const)("refuses %s where it is not there, says what to install, and takes no other", async (device, message) => {
  vi.stubEnv("VK_DRIVER_FILES", "/nonexistent.json");
  vi.stubEnv("VK_ICD_FILENAMES", "/nonexistent.json");
  const refused = { code: "device_unavailable", message: expect.stringMatching(message) };
  await expect(lengthOf({ device })).rejects.toMatchObject(refused);
  vi.unstubAllEnvs();
});
